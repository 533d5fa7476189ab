#!/usr/bin/env python3
"""Writes golden vectors for text/tokenizer: hostile strings with their ids.

The oracle is PyPI `tokenizers`. Same arguments and same package version, same bytes.
  make_tokenizer_vectors.py models/books-mamba2-5m/tokenizer.json tests/golden/tokenizer_books.jsonl
"""
import argparse
import json
import random

import tokenizers

WORDS = """the and whale Elizabeth don't I'll we've they're he'd it's I'm DON'T can''t O'Clock
'tis rock'n'roll x'se naïve Führer coöperate hello,world e.g. 3.14 1,000 2nd CamelCase
snake_case http://a.b/c?d=e don’t “quoted” — … #1 $5 100% a+b==c \\n <b> &amp;""".split()
SPACES = [chr(c) for c in (
    0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2003,
    0x200A, 0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)]
MARKS = [chr(c) for c in (
    0x300, 0x301, 0x302, 0x303, 0x304, 0x308, 0x30A, 0x316, 0x323, 0x327, 0x328, 0x334, 0x338,
    0x340, 0x344, 0x345, 0x34F, 0x591, 0x5B0, 0x64B, 0x653, 0x93C, 0x94D, 0x3099, 0x309A, 0x20DD,
    0x0898, 0x1ABF, 0x1DF6, 0x16FF0, 0x1E08F)]
# Inclusive ranges, one per kind of trouble.
RANGES = [(a, b) for a, b in (
    (0x00, 0x20), (0x7F, 0xA0), (0x21, 0x7E), (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF),
    (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0x9E6, 0x9FF), (0xE00, 0xE7F),
    (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x2150, 0x218F),
    (0x2460, 0x24FF), (0x3000, 0x30FF), (0x3200, 0x32FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xE000, 0xE010), (0xF900, 0xFAFF), (0xFB1D, 0xFB4F), (0xFF00, 0xFFEF), (0x10140, 0x10178),
    (0x105C0, 0x105F3), (0x10D40, 0x10D85), (0x11930, 0x11938), (0x12400, 0x1246E),
    (0x1D15E, 0x1D1C0), (0x1D400, 0x1D7FF), (0x1F300, 0x1F64F), (0x20000, 0x2A6DF),
    (0xE0000, 0xE007F), (0x10FFF0, 0x10FFFF))]
EMOJI = [
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd",
    "\U0001f3f3\ufe0f\u200d\U0001f308", "1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
    "\u2615", "\U0001f999"]
# Nd, Nl and No of several scripts, and ideographs that mean numbers but are letters.
DIGITS = ("0123456789\u0660\u0663\u096f\u09ea\u0e55\u2163\u2177\u00bd\u00b2\u2462\u3007"
          "\u4e00\u5341\u3288\U0001d7d8\U00012400")


def any_char(rng):
    if rng.random() < 0.1:
        while True:
            c = rng.randrange(0x110000)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)
    return chr(rng.randint(*rng.choice(RANGES)))


def chunk(rng, added):
    kind = rng.randrange(11)
    n = rng.choice((1, 1, 2, 3, 5))
    if kind < 3:
        return rng.choice((" ", " ", "", "\n", "  ")).join(rng.choices(WORDS, k=n + 1))
    if kind == 3:
        return "".join(rng.choices(SPACES + [" "] * 10, k=n))
    if kind == 4:
        return any_char(rng) + "".join(rng.choices(MARKS, k=n))
    if kind == 5:
        return "".join(any_char(rng) for _ in range(n))
    if kind == 6:
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randint(low, high)) for _ in range(4 * n))
    if kind == 7:
        return rng.choice(EMOJI)
    if kind == 8:
        return "".join(rng.choices(DIGITS, k=n))
    if kind == 9:
        token = rng.choice(added)
        return rng.choice((token, token[:-1], token[1:], token * 2, token[:1] + token))
    unit = rng.choice((" ", "\t", "a", "'", "\u00e9", "\u0301", "0", "!", "\u00a0", "\r\n"))
    return unit * rng.choice((2, 3, 7, 23, 40))


FIXED = [
    "", " ", "  ", "\n", "'", "''s", "'S", " 's", "'s", "s's", "'re'", "'l", "'ll", "'v", "'ve",
    "a ", "a  ", "a  b", "a \n b", "\n\n\na", "  a", "\ta", "\u00a0a", "a\u2028b", "\u0085 a",
    "a \u00a0 b", "a\u3000\u3000b",
    "1\u00bd\u00b2\u2163\u0663", "abc123!?def", "a" * 300, " " * 300,
    "\u0301" * 64, "q\u0323\u0307", "q\u0307\u0323", "e\u0323\u0302", "\u1100\u1161\u11a8",
    "\u2126",
    "\ufb2a\ufb49", "\u202eabc\u202c", "\x00", "\x00\x01\x7f", "\ufffd", "\uffff", "\U0010ffff",
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|padding|>", "<|endoftext",
    "<<|endoftext|>>",
    " <|endoftext|> ", "'<|endoftext|>s", "<|ENDOFTEXT|>",
]


def strings(count, seed, added):
    rng = random.Random(seed)
    yield from FIXED
    for _ in range(count - len(FIXED)):
        yield "".join(chunk(rng, added) for _ in range(rng.choice((1, 2, 4, 8))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", help="tokenizer.json")
    parser.add_argument("out", help="vectors, one JSON object per line")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tokenizer = tokenizers.Tokenizer.from_file(args.tokenizer)
    added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    with open(args.out, "w", encoding="ascii") as out:
        for text in strings(args.count, args.seed, added or ["<|endoftext|>"]):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            out.write(json.dumps({"text": text, "ids": ids}) + "\n")


if __name__ == "__main__":
    main()
