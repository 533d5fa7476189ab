"""Writes tests/golden/torch/*.bin, read by io/torch_file_test.cc. Needs torch (made with 2.15)."""
import collections
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "torch"


def state_dict():
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    model = collections.OrderedDict()
    model["f32"] = base
    model["transposed"] = base.t()
    model["window"] = base[1:, 1:3]
    model["rows"] = base[1:]
    model["expanded"] = torch.tensor([7.0, 8.0]).expand(3, 2)
    model["scalar"] = torch.tensor(1.5)
    model["empty"] = torch.zeros(0, 5)
    model["bf16"] = torch.tensor([1.0, -2.0], dtype=torch.bfloat16)
    model["f16"] = torch.tensor([0.5, -0.25], dtype=torch.float16)
    model["i8"] = torch.tensor([-128, 127], dtype=torch.int8)
    model["u8"] = torch.tensor([0, 255], dtype=torch.uint8)
    model["i32"] = torch.tensor([-5], dtype=torch.int32)
    model["i64"] = torch.tensor([1 << 40], dtype=torch.int64)
    model["parameter"] = torch.nn.Parameter(torch.tensor([3.0]))
    model._metadata = {"": {"version": 1}}
    return {"model": model, "epoch": 3, "loss": 0.5, "big": 1 << 80, "none": None, "flag": True,
            "list": [1, "x", (2.0,)], "set": {1, 2}, "raw": b"xyz", 5: {"w": torch.tensor([9.0])}}


def main():
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    for protocol in (2, 3, 4, 5):
        data = state_dict()
        if protocol < 4:
            del data["set"], data["raw"]  # older protocols call builtins for these
        torch.save(data, OUT / f"protocol{protocol}.bin", pickle_protocol=protocol)
    small = {"w": torch.tensor([1.0, 2.0])}
    torch.save(small, OUT / "small.bin")
    torch.save(small, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.tensor([1.0], dtype=torch.float64)}, OUT / "double.bin")
    torch.save({"w": torch.tensor([1.0]).to(torch.float8_e4m3fn)}, OUT / "float8.bin")
    torch.save(torch.nn.Linear(1, 1), OUT / "module.bin")


if __name__ == "__main__":
    main()
