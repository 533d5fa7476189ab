"""Running lm-evaluation-harness on the tasks of tasks/, without network."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "tasks"
MODELS = {name: ROOT / "models" / name for name in ("books-mamba2-5m", "books-mamba-5m")}
TASKS = ["octet_choice", "octet_last_word", "octet_rolling", "octet_write"]


def run_harness(command: list[str], model: list[str], tasks: list[str]) -> dict[str, Any]:
    """What the model answers: by task, "results" by metric and "responses" by document."""
    with tempfile.TemporaryDirectory() as output:
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HOME": f"{output}/home",
        }
        done = subprocess.run(
            [*command, "run", *model, "--tasks", *tasks, "--include_path", str(FOLDER),
             "--log_samples", "--output_path", f"{output}/results"],
            cwd=FOLDER, env=environment, capture_output=True, text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        folder = Path(output) / "results"
        (results,) = folder.rglob("results_*.json")
        scores = json.loads(results.read_text())["results"]
        answers = {}
        for task in tasks:
            (samples,) = folder.rglob(f"samples_{task}_*.jsonl")
            documents = [json.loads(line) for line in samples.read_text().splitlines()]
            answers[task] = {
                "results": {k.split(",")[0]: v for k, v in scores[task].items()
                            if isinstance(v, float) and "stderr" not in k},
                "responses": [d["resps"] for d in sorted(documents, key=lambda d: d["doc_id"])],
            }
        return answers
