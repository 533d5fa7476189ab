#!/usr/bin/env python3
"""What llama.cpp makes of token ids: prints {"nll_per_token", "tokens", "system_info"} as JSON.

    bench/llama_cpp_nll.py MODEL.gguf TOKENS.json

TOKENS.json is a list of ids, fed from an empty state; every id but the first is scored, in float64
from the float32 logits. Needs numpy and the package llama_cpp; LLAMA_CPP_LIB_PATH names the folder
of libllama.so.
"""
import ctypes
import json
import pathlib
import sys

import llama_cpp.llama_cpp as llama
import numpy as np


@llama.llama_log_callback
def quiet(_level, _text, _data):
    pass


def logits_of(path, tokens):
    """[tokens, vocabulary] of a model file."""
    llama.llama_log_set(quiet, None)
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(f"{path}: llama.cpp does not load it")
    options = llama.llama_context_default_params()
    options.n_ctx = options.n_batch = len(tokens)
    context = llama.llama_init_from_model(model, options)
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i] = token, i
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        batch.logits[i] = True
    if llama.llama_decode(context, batch) != 0:
        sys.exit(f"{path}: llama.cpp does not compute it")
    rows = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    pointer = ctypes.cast(llama.llama_get_logits(context), ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, (len(tokens), rows)).astype(np.float64)


def nll_per_token(logits, tokens):
    peak = logits.max(axis=1, keepdims=True)
    log_sum = (peak + np.log(np.exp(logits - peak).sum(axis=1, keepdims=True)))[:-1, 0]
    return float(np.mean(log_sum - logits[np.arange(len(tokens) - 1), tokens[1:]]))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tokens = json.loads(pathlib.Path(sys.argv[2]).read_text())
    print(json.dumps({
        "nll_per_token": nll_per_token(logits_of(sys.argv[1], tokens), tokens),
        "tokens": len(tokens) - 1,
        "system_info": llama.llama_print_system_info().decode().strip(),
    }))


if __name__ == "__main__":
    main()
