#!/usr/bin/env python3
"""Writes the golden model files under tests/golden/ with transformers' pure-torch path.

    pip install torch transformers && tools/make_goldens.py [--out tests/golden]

Octet's float run must reproduce these numbers, so nothing here uses Octet. Everything is seeded and
runs on one thread: two runs with the same package versions write the same bytes.

Each of mamba2_g1, mamba2_g2, mamba2_g4, mamba1, mamba1_untied, mamba1_bias, falcon_mamba,
state_spaces_mamba2 and state_spaces_mamba1 holds a tiny model of random weights (what varies
between them: see TINY) and
  expected.json         {"ids": [257 ids], "transformers": version}
  expected.safetensors  fp32, computed in fp32 (16-bit weights are widened first):
    logits_257 [257, V]           one forward over all ids
    last_1 .. last_256 [V]        the last row of a forward over that prefix alone
    steps [5, V]                  37 tokens into a cache, then 5 single-token steps
                                  (absent with a finite time_step_limit: transformers 5.23 does not
                                  apply the limit in single-token steps)
books_mamba2 and books_mamba hold no model; they refer to models/books-mamba2-5m and
models/books-mamba-5m:
  expected.json         {"text", "ids", "positions": [8], "transformers"}
  expected.safetensors  logits [8, 4096]: rows `positions` of one fp32 forward over all ids
"""
import argparse
import json
import pathlib
import shutil

import safetensors.torch
import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOCAB = 97
PREFIXES = (1, 37, 255, 256)
CACHED, STEPS = 37, 5

TINY = {
    "mamba2_g1": dict(
        seed=1, dtype=torch.bfloat16, n_groups=1, chunk_size=64, tie_word_embeddings=True),
    "mamba2_g2": dict(
        seed=2, dtype=torch.float16, n_groups=2, chunk_size=32, use_bias=True, use_conv_bias=False),
    "mamba2_g4": dict(
        seed=4, dtype=torch.float32, n_groups=4, chunk_size=48, tie_word_embeddings=True,
        conv_kernel=3, time_step_limit=(0.001, 0.1), max_shard_size="60KB"),
    "mamba1": dict(seed=11, dtype=torch.float32, family="Mamba"),
    "mamba1_untied": dict(
        seed=12, dtype=torch.bfloat16, family="Mamba", state_size=8, time_step_rank=5,
        tie_word_embeddings=False),
    "mamba1_bias": dict(
        seed=13, dtype=torch.float32, family="Mamba", use_bias=True, use_conv_bias=False,
        conv_kernel=3),
    "falcon_mamba": dict(
        seed=14, dtype=torch.float32, family="FalconMamba", mixer_rms_eps=1e-3),
}

TEXT = """\
The lighthouse keeper had two clocks, and they never agreed. One had come with the house; it was \
tall, solemn and slow, and it struck the hours as if each of them were the last. The other he had \
bought from a sailor in the year of the great storm, for three shillings and a coat. "It loses \
nothing," the sailor had told him, "because it has nothing to lose." By the second winter the \
keeper had learned to read the difference between them as other men read the weather. When the \
tall clock fell behind by a minute, there would be fog before the evening; when it fell behind by \
two, he carried wood into the kitchen and did not row to the village for bread.

In March a girl of about eleven came up the path with a basket of eggs and asked him what time it \
was. He looked at one clock and then at the other, and he found, to his surprise, that he did not \
want to tell her a lie. "It is between twenty past four and half past," he said at last. "That is \
not a time," said the girl. "It is the only one I am sure of," said the keeper, and he paid her \
for the eggs.
"""


def randomize(model, seed):
    """Overwrites every parameter: no scale, bias, A_log, D or dt_bias keeps its initial value."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(p, lo, hi):
        return torch.rand(p.shape, generator=rng) * (hi - lo) + lo

    def normal(p, mean, std):
        return torch.randn(p.shape, generator=rng) * std + mean

    for name, p in sorted(model.named_parameters()):
        if name.endswith("A_log"):
            value = uniform(p, -0.7, 2.8)  # A from -0.5 to -16
        elif name.endswith(("dt_bias", "dt_proj.bias")):
            # dt from 0.0005 to 0.5: heads that keep state for thousands of tokens and for one.
            dt = torch.exp(uniform(p, -7.6, -0.7))
            value = torch.log(torch.expm1(dt))
        elif name.endswith("mixer.D"):
            value = normal(p, 1.0, 0.5)
        elif "norm" in name:
            value = normal(p, 1.0, 0.2)
        elif name.endswith("bias"):
            value = normal(p, 0.0, 0.1)
        elif name.endswith("conv1d.weight"):
            value = normal(p, 0.0, 0.5)
        elif "embeddings" in name or "lm_head" in name:
            value = normal(p, 0.0, 0.5)
        else:
            value = normal(p, 0.0, p.shape[-1] ** -0.5)
        p.copy_(value)


def tiny_model(seed, dtype, family="Mamba2", vocab=VOCAB, **options):
    heads = dict(head_dim=8, num_heads=8) if family == "Mamba2" else {}
    config = getattr(transformers, family + "Config")(
        vocab_size=vocab, hidden_size=32, expand=2, num_hidden_layers=2, bos_token_id=0,
        eos_token_id=0, pad_token_id=0,
        **{"conv_kernel": 4, "state_size": 16, **heads, **options})
    model = getattr(transformers, family + "ForCausalLM")(config).eval()
    randomize(model, seed)
    return model.to(dtype)


def expected(model, ids):
    """The tensors of expected.safetensors for a fp32 `model`."""
    def logits(tokens, **kwargs):
        return model(torch.tensor([tokens]), **kwargs)

    out = {f"logits_{len(ids)}": logits(ids).logits[0]}
    for n in PREFIXES:
        out[f"last_{n}"] = logits(ids[:n]).logits[0, -1]
    if getattr(model.config, "time_step_limit", (0, float("inf")))[1] == float("inf"):
        run = logits(ids[:CACHED], use_cache=True)
        rows = []
        for token in ids[CACHED:CACHED + STEPS]:
            run = logits([token], use_cache=True, cache_params=run.cache_params)
            rows.append(run.logits[0, -1])
        out["steps"] = torch.stack(rows)
        # The oracle itself must agree with its own long forward, or it is no oracle.
        torch.testing.assert_close(
            out["steps"], out[f"logits_{len(ids)}"][CACHED:CACHED + STEPS], rtol=1e-4, atol=1e-4)
    return {name: tensor.float().contiguous() for name, tensor in out.items()}


def save_expected(folder, tensors, **fields):
    fields["transformers"] = transformers.__version__
    (folder / "expected.json").write_text(json.dumps(fields) + "\n")
    safetensors.torch.save_file(tensors, folder / "expected.safetensors")


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def random_ids(seed):
    return torch.randint(0, VOCAB, (257,), generator=torch.Generator().manual_seed(seed)).tolist()


def make_tiny(folder, seed, max_shard_size="1GB", **options):
    model = tiny_model(seed, **options)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    # What is tested is the files: compute from what was saved, not from what was in memory.
    loaded = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    ids = random_ids(100 + seed)
    save_expected(folder, expected(loaded, ids), ids=ids)


def make_state_spaces(folder, seed, ssm_cfg, **options):
    """The same model in state-spaces' layout; 97 rows of vocabulary are stored as 112."""
    model = tiny_model(
        seed=seed, dtype=torch.float32, vocab=112, tie_word_embeddings=True, **options)
    state = {}
    for name, p in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        keep = name.endswith(("A_log", ".D", "dt_bias", "dt_proj.bias"))
        value = p.clone() if keep else p.half()
        state[name.replace("backbone.embeddings.", "backbone.embedding.")] = value
    state["lm_head.weight"] = state["backbone.embedding.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    config = {
        "d_model": 32, "d_intermediate": 0, "n_layer": 2, "vocab_size": VOCAB,
        "ssm_cfg": ssm_cfg,
        "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": True, "residual_in_fp32": True,
        "fused_add_norm": True, "pad_vocab_size_multiple": 16, "tie_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n")

    stored = torch.load(folder / "pytorch_model.bin", weights_only=True)
    assert stored["lm_head.weight"].data_ptr() == stored["backbone.embedding.weight"].data_ptr()
    model.load_state_dict(
        {name.replace("embedding.", "embeddings."): p.float() for name, p in stored.items()})
    ids = random_ids(100 + seed)
    save_expected(folder, expected(model.float(), ids), ids=ids)


def make_books(folder, name):
    source = ROOT / "models" / name
    tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    positions = [0, 1, 3, 17, 100, 255, 256, len(ids) - 1]  # chunk_size is 256
    logits = model(torch.tensor([ids])).logits[0, positions].contiguous()
    save_expected(folder, {"logits": logits}, text=TEXT, ids=ids, positions=positions)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests" / "golden")
    out = parser.parse_args().out
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with torch.no_grad():
        for name, options in TINY.items():
            make_tiny(fresh(out / name), **options)
        make_state_spaces(
            fresh(out / "state_spaces_mamba2"), seed=5, n_groups=1, chunk_size=64,
            ssm_cfg={"layer": "Mamba2", "d_state": 16, "headdim": 8, "chunk_size": 64})
        make_state_spaces(
            fresh(out / "state_spaces_mamba1"), seed=15, family="Mamba", ssm_cfg={})
        make_books(fresh(out / "books_mamba2"), "books-mamba2-5m")
        make_books(fresh(out / "books_mamba"), "books-mamba-5m")
    for path in out.glob("*/*.safetensors"):
        path.chmod(0o644)  # safetensors makes its files private


if __name__ == "__main__":
    main()
