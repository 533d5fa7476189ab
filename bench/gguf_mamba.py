#!/usr/bin/env python3
"""Writes a Mamba-1 or Mamba-2 folder as an F32 GGUF file, as llama.cpp's own converter would.

    bench/gguf_mamba.py FOLDER OUTPUT.gguf

Tensors keep their values but for A = -exp(A_log), which GGUF stores instead of A_log. A conv1d
loses its axis of length 1; A and D of Mamba-2 become [heads, 1], its mixer norm
[groups, inner / groups].
The file has as many tokens as the embedding has rows and no tokenizer: measurements feed token ids.
Needs numpy and the package gguf.
"""
import json
import pathlib
import re
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import make_outlier_copy as checkpoint  # noqa: E402

OUTER = {
    "backbone.embeddings.weight": "token_embd.weight",
    "backbone.norm_f.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
BLOCK = {
    "norm.weight": "attn_norm.weight",
    "mixer.A_log": "ssm_a",
    "mixer.D": "ssm_d",
    "mixer.conv1d.bias": "ssm_conv1d.bias",
    "mixer.conv1d.weight": "ssm_conv1d.weight",
    "mixer.in_proj.weight": "ssm_in.weight",
    "mixer.out_proj.weight": "ssm_out.weight",
}
FAMILY_BLOCK = {
    "mamba": {
        "mixer.dt_proj.bias": "ssm_dt.bias",
        "mixer.dt_proj.weight": "ssm_dt.weight",
        "mixer.x_proj.weight": "ssm_x.weight",
    },
    "mamba2": {
        "mixer.dt_bias": "ssm_dt.bias",
        "mixer.norm.weight": "ssm_norm.weight",
    },
}


def tensor_name(name, family):
    """GGUF's name of a tensor. ValueError for one that GGUF has no place for."""
    if name in OUTER:
        return OUTER[name]
    found = re.fullmatch(r"backbone\.layers\.(\d+)\.(.+)", name)
    part = found and {**BLOCK, **FAMILY_BLOCK[family]}.get(found[2])
    if not part:
        raise ValueError(f"{name}: no tensor of GGUF's {family}")
    return f"blk.{found[1]}.{part}"


def convert(name, values, config):
    """(name, float32 array) as GGUF has them; the last axis is GGUF's first."""
    family = config["model_type"]
    new = tensor_name(name, family)
    part = new.split(".", 2)[-1]
    if part == "ssm_a":
        values = -np.exp(values)
    if part == "ssm_conv1d.weight":
        values = values.squeeze(1)
    if family == "mamba2" and part in ("ssm_a", "ssm_d"):
        values = values[:, None]
    if part == "ssm_norm.weight":
        values = values.reshape(config["n_groups"], -1)
    return new, np.ascontiguousarray(values, np.float32)


def metadata(config, vocab_rows):
    """{key: value} of the header, without general.architecture."""
    family, d_model = config["model_type"], config["hidden_size"]
    inner = config["expand"] * d_model
    keys = {
        "context_length": 2 ** 20,
        "embedding_length": d_model,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "block_count": config["num_hidden_layers"],
        "vocab_size": vocab_rows,
        "ssm.conv_kernel": config["conv_kernel"],
        "ssm.inner_size": inner,
        "ssm.state_size": config["state_size"],
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
    }
    if family == "mamba":
        keys["ssm.time_step_rank"] = config["time_step_rank"]
        keys["ssm.dt_b_c_rms"] = False
    else:
        keys["ssm.time_step_rank"] = inner // config["head_dim"]
        keys["ssm.group_count"] = config["n_groups"]
    return {f"{family}.{key}": value for key, value in keys.items()} | {
        "tokenizer.ggml.model": "no_vocab"}


def write(folder, output):
    import gguf  # the only use of it: what is above runs without

    config = json.loads((folder / "config.json").read_text())
    tensors = checkpoint.read_checkpoint(folder)
    writer = gguf.GGUFWriter(output, config["model_type"])
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32,
           str: writer.add_string}
    rows = len(tensors["backbone.embeddings.weight"])
    for key, value in metadata(config, rows).items():
        add[type(value)](key, value)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name in sorted(tensors):
        writer.add_tensor(*convert(name, tensors[name], config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(arguments):
    """What to tell the shell: None, or one sentence about what went wrong."""
    if len(arguments) != 2 or arguments[0].startswith("-"):
        return __doc__
    folder, output = map(pathlib.Path, arguments)
    partial = output.with_name(output.name + ".partial")
    try:
        write(folder, partial)
    except (OSError, ValueError) as e:
        partial.unlink(missing_ok=True)
        return f"{folder}: {e}"
    partial.rename(output)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
