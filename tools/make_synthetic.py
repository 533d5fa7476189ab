#!/usr/bin/env python3
"""Makes a Mamba-1 or Mamba-2 folder of any size with random weights, to try what large models need.

    tools/make_synthetic.py TARGET [--preset mamba-130m|mamba2-130m] [--family mamba|mamba2]
                            [--d-model 2560] [--layers 64] [--vocab 50288] [--state 128]
                            [--head-dim 64] [--groups 1] [--dtype bf16|f32] [--shard-mb 1000]
                            [--seed 1] [--tokenizer models/books-mamba2-5m]

The default is the shape of state-spaces/mamba2-2.7b: 5.4 GB in shards with an index, as Hugging
Face writes them; of --family mamba that of mamba-2.8b. A preset is the shape of the published model
of that name; an option beside it replaces one size. One tensor at a time is in memory. The weights
are normal, with deviations that keep the activations of every block near 1, as they are in a trained
model; its text is noise. They are bf16 numbers: --dtype f32 stores the same values in twice the
bytes. The tokenizer is a copy: --vocab must be at least its size. TARGET must not exist. Needs numpy.
"""
import argparse
import json
import pathlib
import shutil
import sys

import report_common as common

try:
    import numpy as np
except ModuleNotFoundError:  # --help and PRESETS do without
    np = None

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
CONV = 4  # taps
ITEM_BYTES = {"bf16": 2, "f32": 4}
SIZES = {  # of each family, unless a preset or an option says otherwise
    "mamba": {"d_model": 2560, "layers": 64, "vocab": 50280, "state": 16},
    "mamba2": {"d_model": 2560, "layers": 64, "vocab": 50288, "state": 128},
}
PRESETS = {  # the published models of these names
    "mamba-130m": {"family": "mamba", "d_model": 768, "layers": 24},
    "mamba2-130m": {"family": "mamba2", "d_model": 768, "layers": 24},
}


def normal(deviation):
    return lambda rng, shape: rng.standard_normal(shape, np.float32) * np.float32(deviation)


def uniform(low, high):
    return lambda rng, shape: rng.uniform(low, high, shape).astype(np.float32)


def dt_rank(a):
    return -(-a.d_model // 16)


def mamba1_mixer(a):
    """As mamba2_mixer; the scan's gated output is not normalised and about 0.3."""
    inner, rank = 2 * a.d_model, dt_rank(a)
    yield "A_log", (inner, a.state), uniform(0.0, 2.5)
    yield "D", (inner,), uniform(0.5, 1.5)
    yield "conv1d.bias", (inner,), normal(0.1)
    yield "conv1d.weight", (inner, 1, CONV), normal(0.5)
    yield "dt_proj.bias", (inner,), uniform(-6.0, -2.0)
    yield "dt_proj.weight", (inner, rank), uniform(-rank ** -0.5, rank ** -0.5)
    yield "in_proj.weight", (2 * inner, a.d_model), normal(a.d_model ** -0.5)
    yield "out_proj.weight", (a.d_model, inner), normal((a.d_model * inner) ** -0.5)
    yield "x_proj.weight", (rank + 2 * a.state, inner), normal(inner ** -0.5)


def mamba2_mixer(a):
    """(name, shape, make) of a mixer's tensors; its output is a fifth of what the embedding brings
    to the residual stream."""
    inner = 2 * a.d_model
    heads = inner // a.head_dim
    channels = inner + 2 * a.groups * a.state
    yield "A_log", (heads,), uniform(0.0, 2.5)
    yield "D", (heads,), uniform(0.5, 1.5)
    yield "conv1d.bias", (channels,), normal(0.1)
    yield "conv1d.weight", (channels, 1, CONV), normal(0.5)
    yield "dt_bias", (heads,), uniform(-6.0, -2.0)
    yield "in_proj.weight", (inner + channels + heads, a.d_model), normal(a.d_model ** -0.5)
    yield "norm.weight", (inner,), uniform(0.5, 1.5)
    yield "out_proj.weight", (a.d_model, inner), normal(0.3 * (a.d_model * inner) ** -0.5)


def shapes(a):
    """(name, shape, make) of every tensor, make(rng, shape) giving float32."""
    mixer = {"mamba": mamba1_mixer, "mamba2": mamba2_mixer}[a.family]
    yield "backbone.embeddings.weight", (a.vocab, a.d_model), normal(1.5 * a.d_model ** -0.5)
    for i in range(a.layers):
        block = f"backbone.layers.{i}."
        yield block + "norm.weight", (a.d_model,), uniform(0.5, 1.5)
        for name, shape, make in mixer(a):
            yield block + "mixer." + name, shape, make
    yield "backbone.norm_f.weight", (a.d_model,), uniform(0.5, 1.5)


def to_bf16(values):
    """The nearest bf16 numbers as uint16, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def stored(values, dtype):
    bits = to_bf16(values)
    return bits if dtype == "bf16" else bits.astype(np.uint32) << 16


def split(tensors, limit, item_bytes):
    """Lists of tensors of at most `limit` bytes together, but at least one tensor each."""
    shard, size = [], 0
    for tensor in tensors:
        nbytes = item_bytes * int(np.prod(tensor[1]))
        if shard and size + nbytes > limit:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += nbytes
    yield shard


def write_shard(path, tensors, seed, dtype):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in tensors:
        end = offset + ITEM_BYTES[dtype] * int(np.prod(shape))
        header[name] = {"dtype": dtype.upper(), "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape, make in tensors:
            # A generator per tensor: its values depend on its name, not on the shards.
            rng = np.random.default_rng([seed, *name.encode()])
            stored(make(rng, shape), dtype).tofile(f)
    return offset


def write_config(a):
    config = json.loads((a.tokenizer / "config.json").read_text())
    config.update(
        hidden_size=a.d_model, num_hidden_layers=a.layers, vocab_size=a.vocab, state_size=a.state,
        conv_kernel=CONV, expand=2, time_step_rank=dt_rank(a),
        dtype={"bf16": "bfloat16", "f32": "float32"}[a.dtype])
    if a.family == "mamba":
        config["intermediate_size"] = 2 * a.d_model
    else:
        config.update(head_dim=a.head_dim, num_heads=2 * a.d_model // a.head_dim, n_groups=a.groups)
    (a.target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def arguments(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("target", type=pathlib.Path)
    p.add_argument("--preset", choices=PRESETS)
    p.add_argument("--family", choices=SIZES)
    for name in ("d-model", "layers", "vocab", "state"):
        p.add_argument(f"--{name}", type=int)
    for name, default in (("head-dim", 64), ("groups", 1), ("shard-mb", 1000), ("seed", 1)):
        p.add_argument(f"--{name}", type=int, default=default)
    p.add_argument("--dtype", choices=ITEM_BYTES, default="bf16")
    p.add_argument("--tokenizer", type=pathlib.Path)
    a = p.parse_args(argv)
    preset = PRESETS.get(a.preset, {})
    a.family = a.family or preset.get("family", "mamba2")
    if preset.get("family", a.family) != a.family:
        p.error(f"--preset {a.preset} is not of --family {a.family}")
    for name, size in {**SIZES[a.family], **preset}.items():
        if getattr(a, name) is None:
            setattr(a, name, size)
    if a.tokenizer is None:
        a.tokenizer = ROOT / f"models/books-{a.family}-5m"
    if a.family == "mamba2" and (
            2 * a.d_model % a.head_dim != 0 or 2 * a.d_model // a.head_dim % a.groups != 0):
        p.error("twice --d-model must be heads of --head-dim, which --groups share")
    return a


def make(a):
    if np is None:
        raise common.Failed(f"needs numpy, which {sys.executable} does not have")
    a.target.mkdir(parents=True)
    write_config(a)
    for file in TOKENIZER_FILES:
        shutil.copyfile(a.tokenizer / file, a.target / file)
    shards = list(split(shapes(a), a.shard_mb * 1_000_000, ITEM_BYTES[a.dtype]))
    where, total = {}, 0
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        total += write_shard(a.target / file, shard, a.seed, a.dtype)
        where.update({name: file for name, _, _ in shard})
        print(f"{file}: {total / 1e9:.2f} GB so far", file=sys.stderr)
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (a.target / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    common.start(lambda: make(arguments()))
