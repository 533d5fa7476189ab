#!/usr/bin/env python3
"""Copies a Mamba-2 folder into one that computes the same function but has outlier channels.

    tools/make_outlier_copy.py SOURCE TARGET [--channels 8] [--max-factor 100] [--layers 0,2-5]
                               [--seed 1] [--check]

Large trained models have a few activation channels that are up to 100 times larger than the others;
that is what the methods against outliers exist for. Small models have none. Here, for `--channels`
seeded channels c of d_model and as many of d_inner, with factors f log-uniform in [1, max-factor]:
    norm.weight[c]       *= f        in_proj.weight[:, c]  /= f
    mixer.norm.weight[c] *= f        out_proj.weight[:, c] /= f
so the inputs of both projections grow outliers and the products stay. All tensors are written as
fp32: logits then agree with the source's to fp32 rounding.

SOURCE is a Hugging Face folder (model.safetensors or shards; F32, F16 or BF16). TARGET must not
exist. Needs numpy; --check also needs torch and transformers, and compares the logits of both.
"""
import argparse
import json
import pathlib
import re
import shutil
import sys

try:
    import numpy as np
except ModuleNotFoundError:  # --help does without
    np = None

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "uint16"}


def read_safetensors(path):
    """{name: float32 array} of one file."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            sys.exit(f"{path}: {name} is {entry['dtype']}; only F32, F16 and BF16 can be rescaled")
        begin, end = entry["data_offsets"]
        data = np.frombuffer(raw[8 + size + begin:8 + size + end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            data = (data.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = data.astype(np.float32).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        end = offset + tensors[name].nbytes
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            f.write(np.ascontiguousarray(tensors[name], np.float32).tobytes())


def read_checkpoint(folder):
    index = folder / "model.safetensors.index.json"
    files = {"model.safetensors"}
    if index.exists():
        files = set(json.loads(index.read_text())["weight_map"].values())
    tensors = {}
    for name in sorted(files):
        tensors.update(read_safetensors(folder / name))
    return tensors


def parse_layers(text, count):
    """"0,2-5" as {0, 2, 3, 4, 5}; all of `count` when empty."""
    layers = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        layers.update(range(int(first), int(last or first) + 1))
    if any(i >= count for i in layers):
        sys.exit(f"--layers {text}: the model has layers 0 to {count - 1}")
    return layers or set(range(count))


def scale_channels(tensors, norm, linear, channels, max_factor, rng):
    """Moves factors of `channels` random channels from the columns of `linear` into `norm`."""
    width = tensors[norm].shape[0]
    if channels > width:
        sys.exit(f"--channels {channels}: {norm} has {width} channels")
    chosen = rng.choice(width, channels, replace=False)
    factors = np.exp(rng.uniform(0.0, np.log(max_factor), channels))
    tensors[norm][chosen] = tensors[norm][chosen].astype(np.float64) * factors
    tensors[linear][:, chosen] = tensors[linear][:, chosen].astype(np.float64) / factors


def add_outliers(tensors, channels, max_factor, layers, seed):
    """Rescales `tensors` in place."""
    found = [re.fullmatch(r"backbone\.layers\.(\d+)\.norm\.weight", name) for name in tensors]
    count = 1 + max((int(m[1]) for m in found if m), default=-1)
    if count == 0:
        sys.exit("no tensor backbone.layers.0.norm.weight: not a Mamba-2 checkpoint")
    wanted = parse_layers(layers, count)
    for i in range(count):
        # A generator per layer: --layers changes which layers are touched, not how.
        rng = np.random.default_rng([seed, i])
        if i in wanted:
            p = f"backbone.layers.{i}."
            for norm, linear in (("norm", "mixer.in_proj"), ("mixer.norm", "mixer.out_proj")):
                scale_channels(
                    tensors, f"{p}{norm}.weight", f"{p}{linear}.weight", channels, max_factor, rng)


def copy_with_outliers(source, target, channels, max_factor, layers, seed):
    tensors = read_checkpoint(source)
    add_outliers(tensors, channels, max_factor, layers, seed)
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file() and not path.name.endswith((".safetensors", ".safetensors.index.json")):
            shutil.copyfile(path, target / path.name)
    config = json.loads((source / "config.json").read_text())
    for key in ("dtype", "torch_dtype"):
        if key in config:
            config[key] = "float32"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_safetensors(target / "model.safetensors", tensors)


def largest_difference(source, target):
    """Largest |logit difference| over 128 tokens, relative to the largest |logit|."""
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logits = []
    for folder in (source, target):
        model = transformers.Mamba2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        ids = torch.randint(
            0, model.config.vocab_size, (1, 128), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            logits.append(model(ids).logits)
    return float((logits[0] - logits[1]).abs().max() / logits[0].abs().max())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--max-factor", type=float, default=100.0)
    parser.add_argument("--layers", default="", help="for example 0,2-5; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="compare logits with transformers")
    args = parser.parse_args()
    if np is None:
        sys.exit(f"make_outlier_copy.py: needs numpy, which {sys.executable} does not have")
    if args.target.exists():
        sys.exit(f"{args.target}: exists already")
    if args.max_factor < 1 or args.channels < 0:
        sys.exit("--max-factor must be at least 1 and --channels at least 0")
    copy_with_outliers(
        args.source, args.target, args.channels, args.max_factor, args.layers, args.seed)
    if args.check:
        difference = largest_difference(args.source, args.target)
        print(f"largest logit difference / largest logit: {difference:.2e}")
        if not difference < 1e-5:
            sys.exit("the copy does not compute the same function")


if __name__ == "__main__":
    main()
