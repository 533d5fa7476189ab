"""Writes golden/hflm.json: what lm-evaluation-harness's own HFLM, over transformers and PyTorch in fp32,
answers to the requests of tasks/ for the models of the repository.

    pip install "lm-eval[hf]==0.4.13"
    python python/tests/make_hflm_goldens.py
"""

from __future__ import annotations

import json
from pathlib import Path

from harness import MODELS, TASKS, run_harness

HERE = Path(__file__).resolve().parent


def main() -> None:
    goldens = {}
    for name in MODELS:
        goldens[name] = run_harness(
            ["lm_eval"],
            f"--model=hf --model_args=pretrained={MODELS[name]},dtype=float32,max_length=64 "
            "--device=cpu --batch_size=1".split(),
            TASKS,
        )
    path = HERE / "golden" / "hflm.json"
    path.write_text(json.dumps(goldens, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
