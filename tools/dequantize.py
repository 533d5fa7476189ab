#!/usr/bin/env python3
"""Decodes the weights of a folder that "octet quantize" wrote, as docs/format.md describes them.

    tools/dequantize.py FOLDER OUTPUT.npz

Writes float32 arrays under the tensors' names. Weights of a recipe that rotates stay rotated: see
"Hadamard matrices" in docs/format.md. Needs numpy.
"""
import json
import pathlib
import sys

try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit(f"{__doc__}\ndequantize.py: numpy is missing: pip install numpy")

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "U8": "u1"}


def read_safetensors(path):
    """{name: array} of one file; BF16, which numpy lacks, is widened to float32."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            data = np.frombuffer(raw[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
            bf16 = entry["dtype"] == "BF16"
            tensors[name] = (data.astype("<u4") << 16).view("<f4") if bf16 else data
    return tensors


def dequantize(folder):
    """{name: float32 array} of the weights, without scales and encodings."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    stored = read_safetensors(folder / "model.safetensors")
    weights = {}
    for name, data in stored.items():
        if name.startswith("encodings.") or name.endswith("_scale"):
            continue
        w = data.astype(np.float32)
        if name in config["graph"]["int4"]:
            columns, group = (config["graph"]["int4"][name][k] for k in ("columns", "group"))
            codes = np.stack([data & 15, data >> 4], axis=2).reshape(len(data), -1)[:, :columns]
            multipliers = np.repeat(stored[name + "_group_scale"], group, axis=1)[:, :columns]
            w = (codes.astype(np.float32) - 8) * multipliers
        if name + "_scale" in stored:  # [1] or [rows]
            w = w * stored[name + "_scale"].reshape([-1] + [1] * (w.ndim - 1))
        weights[name] = w
    return weights


def main(arguments):
    """What to tell the shell: None, or one sentence about what went wrong."""
    if len(arguments) != 2 or arguments[0].startswith("-"):
        return __doc__
    folder, output = arguments
    try:
        weights = dequantize(folder)
    except OSError as e:
        return f"dequantize.py: {e.filename}: {e.strerror}"
    except KeyError as e:
        return f"dequantize.py: {folder}: {e} is missing; did \"octet quantize\" write it?"
    except (ValueError, TypeError) as e:
        return f"dequantize.py: {folder}: not what docs/format.md describes: {e}"
    try:
        np.savez(output, **weights)
    except OSError as e:
        return f"dequantize.py: {output}: {e.strerror}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
