#!/usr/bin/env python3
"""Compares recipe auto with uniform 4-bit recipes of the same size; writes a .json and a .md file.

For each shipped model: quantizes it with uniform recipes, then with `--recipe auto --budget-mb` of
each one's size, and measures all of them with `octet compare` on a text that calibration did not
see.

  tools/report_auto.py --calibration calibration.txt --text valid.txt --output docs/results/auto
"""
import json
import pathlib
import tempfile

import report_common as common

EIGHT_BIT_ENDS = [
    {"tensors": "embedding", "bits": 8, "scale": "row"},
    {"tensors": "head", "bits": 8, "scale": "row"},
]
# Uniform recipes by model: a name for the table, and the recipe file.
CASES = {
    "books-mamba2-5m": {
        "ssdi8-plus-w4a8": {"recipe": "ssdi8-plus-w4a8"},
        "ssdi8-plus-w4a8, 8-bit ends": {"recipe": "ssdi8-plus-w4a8", "weights": EIGHT_BIT_ENDS},
    },
    "books-mamba-5m": {
        "quamba2-w4a8": {"recipe": "quamba2-w4a8"},
        "quamba2-w4a8, 8-bit ends": {"recipe": "quamba2-w4a8", "weights": EIGHT_BIT_ENDS},
    },
}


def arguments():
    p = common.parser(__doc__, samples=40, length=256)
    p.add_argument("--models", default="models")
    return p.parse_args()


def measure(args, model, folder, *recipe):
    quantized = common.quantize(args, model, folder, *recipe)
    compared = common.compare(args, model, folder, 512)
    kept = ("kl_mean", "kl_mean_ci95", "perplexity_ratio", "top1_agreement")
    return {"bytes": quantized["bytes_after"], **{key: compared[key] for key in kept},
            "attempts": quantized.get("attempts", [])}


def run(args, work):
    rows = []
    for model, recipes in CASES.items():
        source = pathlib.Path(args.models) / model
        for number, (name, recipe) in enumerate(recipes.items()):
            file = work / f"{model}-{number}.json"
            file.write_text(json.dumps(recipe))
            uniform = measure(args, source, work / f"{model}-{number}", "--recipe", file)
            auto = measure(args, source, work / f"{model}-{number}-auto", "--recipe", "auto",
                           "--budget-mb", uniform["bytes"] / 1e6)
            rows.append({"model": model, "uniform": name, "uniform_result": uniform,
                         "auto_result": auto})
    return rows


def table(args, rows):
    lines = [
        "# Recipe auto against uniform recipes of the same size", "",
        f"`tools/report_auto.py` on {args.max_tokens} tokens of a held-out text, windows of 512; "
        f"{args.samples} pieces of {args.length} tokens calibrate. The budget of auto is the size of "
        "the uniform recipe above it. KL is mean KL(float || quantized) in nats per token with its "
        "95 % interval. 8-bit ends: embedding and head in 8 bits.", "",
        "| model | recipe | MB | mean KL | perplexity ratio | top-1 agreement |",
        "|---|---|---:|---|---:|---:|",
    ]
    for row in rows:
        for name, r in ((row["uniform"], row["uniform_result"]), ("auto", row["auto_result"])):
            low, high = r["kl_mean_ci95"]
            lines.append(f"| {row['model']} | {name} | {r['bytes'] / 1e6:.3f} | "
                         f"{r['kl_mean']:.5f} [{low:.5f}, {high:.5f}] | "
                         f"{r['perplexity_ratio']:.4f} | "
                         f"{100 * r['top1_agreement']:.2f} % |")
    return "\n".join(lines) + "\n"


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as work:
        rows = run(args, pathlib.Path(work))
    common.write(args, rows, table(args, rows))
    for row in rows:
        uniform, auto = row["uniform_result"], row["auto_result"]
        if auto["bytes"] > uniform["bytes"] or auto["kl_mean"] >= uniform["kl_mean"]:
            raise SystemExit(f"auto does not beat {row['uniform']} on {row['model']}")


if __name__ == "__main__":
    common.start(main)
