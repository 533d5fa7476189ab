#!/usr/bin/env python3
"""Makes a Mamba-2 folder of any size with random bf16 weights, to try what large models need.

    tools/make_synthetic.py TARGET [--d-model 2560] [--layers 64] [--vocab 50288] [--state 128]
                            [--head-dim 64] [--groups 1] [--shard-mb 1000] [--seed 1]
                            [--tokenizer models/books-mamba2-5m]

The default is the shape of state-spaces/mamba2-2.7b: 5.4 GB in shards with an index, as Hugging
Face writes them. One tensor at a time is in memory. The weights are normal, with deviations that
keep the activations of every block near 1, as they are in a trained model; its text is noise. The
tokenizer is a copy: --vocab must be at least its size. TARGET must not exist. Needs numpy.
"""
import argparse
import json
import pathlib
import shutil
import sys

import numpy as np

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
CONV = 4  # taps


def shapes(a):
    """(name, shape, make) of every tensor, make(rng, shape) giving float32."""
    inner = 2 * a.d_model
    heads = inner // a.head_dim
    channels = inner + 2 * a.groups * a.state

    def normal(deviation):
        return lambda rng, shape: rng.standard_normal(shape, np.float32) * np.float32(deviation)

    def uniform(low, high):
        return lambda rng, shape: rng.uniform(low, high, shape).astype(np.float32)

    yield "backbone.embeddings.weight", (a.vocab, a.d_model), normal(1.5 * a.d_model ** -0.5)
    for i in range(a.layers):
        block, mixer = f"backbone.layers.{i}.", f"backbone.layers.{i}.mixer."
        yield block + "norm.weight", (a.d_model,), uniform(0.5, 1.5)
        yield mixer + "A_log", (heads,), uniform(0.0, 2.5)
        yield mixer + "D", (heads,), uniform(0.5, 1.5)
        yield mixer + "conv1d.bias", (channels,), normal(0.1)
        yield mixer + "conv1d.weight", (channels, 1, CONV), normal(0.5)
        yield mixer + "dt_bias", (heads,), uniform(-6.0, -2.0)
        yield (mixer + "in_proj.weight", (inner + channels + heads, a.d_model),
               normal(a.d_model ** -0.5))
        yield mixer + "norm.weight", (inner,), uniform(0.5, 1.5)
        # A block adds a fifth of what the embedding brings to the residual stream.
        yield mixer + "out_proj.weight", (a.d_model, inner), normal(0.3 * (a.d_model * inner) ** -0.5)
    yield "backbone.norm_f.weight", (a.d_model,), uniform(0.5, 1.5)


def to_bf16(values):
    """The nearest bf16 numbers as uint16, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def split(tensors, limit):
    """Lists of tensors of at most `limit` bytes together, but at least one tensor each."""
    shard, size = [], 0
    for tensor in tensors:
        nbytes = 2 * int(np.prod(tensor[1]))
        if shard and size + nbytes > limit:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += nbytes
    yield shard


def write_shard(path, tensors, seed):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in tensors:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape, make in tensors:
            # A generator per tensor: its values depend on its name, not on the shards.
            rng = np.random.default_rng([seed, *name.encode()])
            to_bf16(make(rng, shape)).tofile(f)
    return offset


def write_config(a):
    config = json.loads((a.tokenizer / "config.json").read_text())
    config.update(
        hidden_size=a.d_model, num_hidden_layers=a.layers, vocab_size=a.vocab, state_size=a.state,
        head_dim=a.head_dim, num_heads=2 * a.d_model // a.head_dim, n_groups=a.groups,
        conv_kernel=CONV, expand=2, time_step_rank=-(-a.d_model // 16))
    (a.target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("target", type=pathlib.Path)
    for name, default in (("d-model", 2560), ("layers", 64), ("vocab", 50288), ("state", 128),
                          ("head-dim", 64), ("groups", 1), ("shard-mb", 1000), ("seed", 1)):
        p.add_argument(f"--{name}", type=int, default=default)
    root = pathlib.Path(__file__).resolve().parent.parent
    p.add_argument("--tokenizer", type=pathlib.Path, default=root / "models/books-mamba2-5m")
    a = p.parse_args()
    if 2 * a.d_model % a.head_dim != 0 or 2 * a.d_model // a.head_dim % a.groups != 0:
        sys.exit("twice --d-model must be heads of --head-dim, which --groups share")
    a.target.mkdir(parents=True)
    write_config(a)
    for file in TOKENIZER_FILES:
        shutil.copyfile(a.tokenizer / file, a.target / file)
    shards = list(split(shapes(a), a.shard_mb * 1_000_000))
    where, total = {}, 0
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        total += write_shard(a.target / file, shard, a.seed)
        where.update({name: file for name, _, _ in shard})
        print(f"{file}: {total / 1e9:.2f} GB so far", file=sys.stderr)
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (a.target / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
