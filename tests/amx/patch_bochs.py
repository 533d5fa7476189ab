#!/usr/bin/env python3
"""Corrects the instruction TDPBSUD of Bochs 3.0, which takes the bytes of both operands as unsigned.

Usage: patch_bochs.py BOCHS   (the program bochs-bin of Debian's package bochs 3.0+dfsg-1, amd64)

In Intel's manual the bytes of its second operand, Octet's activations, are signed and those of the
third, Octet's codes, are unsigned. Later sources of Bochs have that right; Debian has no such package.
TDPBSSD and TDPBUSD are as wrong, but Octet does not use them. Exit status 1, and no change: the code
is not the one that this knows.
"""

import re
import subprocess
import sys

FUNCTION = "_ZN8BX_CPU_C19TDPBSUD_TnnnTrmTregEP15bxInstruction_c"
# The loop over quads of bytes: edx has the four of x, ecx those of the codes. The bytes of x are
# widened in four places; second column: with their sign.
CODE = [
    ("44 0f b6 c2", "44 0f be c2"),  # movzx r8d, dl -> movsx r8d, dl
    ("0f b6 c6", "0f be c6"),        # movzx eax, dh -> movsx eax, dh
    ("44 0f b6 d1 0f b6 ed 45 0f af c2 41 89 ca c1 e9 18 0f af c5 41 c1 ea 10 45 0f b6 d2 44 01 c0 "
     "41 89 d0", None),
    ("c1 ea 18", "c1 fa 18"),        # shr edx, 24 -> sar edx, 24
    ("41 c1 e8 10 0f af d1", None),
    ("45 0f b6 c0", "45 0f be c0"),  # movzx r8d, r8b -> movsx r8d, r8b
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = sys.argv[1]
    with open(path, "rb") as file:
        image = file.read()
    symbols = subprocess.run(["readelf", "-W", "--dyn-syms", path], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    found = re.search(r": ([0-9a-f]+) +(\d+) FUNC .* " + FUNCTION + "$", symbols, re.MULTILINE)
    old = bytes.fromhex("".join(before for before, _ in CODE))
    new = bytes.fromhex("".join(after or before for before, after in CODE))
    begin = int(found[1], 16) if found else 0  # offsets of code in this file are its addresses
    end = begin + int(found[2]) if found else 0
    if image.count(old, begin, end) != 1:
        sys.exit(f"{path}: not the TDPBSUD of Debian's Bochs 3.0+dfsg-1")
    at = image.index(old, begin, end)
    with open(path, "wb") as file:
        file.write(image[:at] + new + image[at + len(old):])


if __name__ == "__main__":
    main()
