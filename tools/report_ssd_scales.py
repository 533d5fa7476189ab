#!/usr/bin/env python3
"""Measures what the static scales inside the SSD of ssdi8-w8a8 cost; writes a .json and a .md file.

Quantizes the model with the published recipe and with variants that differ in where the scales of
one inner operand come from: calibration, or each chunk itself. Each is compared with the float
model in windows of one, two and eight chunks of 256 tokens.

  tools/report_ssd_scales.py --calibration calibration.txt --text valid.txt --output docs/results/ssd-scales
"""
import json
import pathlib
import tempfile

import report_common as common

WINDOWS = (256, 512, 2048)


def per_chunk(*operands):
    return {"ssd": "int8", "running_state": True,
            "sites": [{"sites": f"ssd.{o}", "codec": "int8", "granularity": "chunk"}
                      for o in operands]}


VARIANTS = {
    "as published": {},
    "states passed in float": {"ssd": "int8"},
    "states passed in float, their scales from running states": per_chunk(),
    "scales of X per chunk": per_chunk("x_scaled"),
    "scales of the states per chunk": per_chunk("state"),
    "scales of X and the states per chunk": per_chunk("x_scaled", "state"),
    "scales of X, the states and the scores per chunk": per_chunk("x_scaled", "state", "score"),
}


def arguments():
    p = common.parser(__doc__, samples=32, length=512)
    p.add_argument("--model", default="models/books-mamba2-5m")
    return p.parse_args()


def run(args, work):
    rows = []
    for number, (name, changes) in enumerate(VARIANTS.items()):
        recipe, folder = work / f"{number}.json", work / str(number)
        recipe.write_text(json.dumps({"recipe": "ssdi8-w8a8", **changes}))
        common.quantize(args, args.model, folder, "--recipe", recipe)
        for window in WINDOWS:
            compared = common.compare(args, args.model, folder, window)
            rows.append({"variant": name, "recipe": changes, "window": window,
                         **{key: compared[key] for key in
                            ("kl_mean", "kl_mean_ci95", "kl_p50", "kl_p99")}})
    return rows


def table(args, rows):
    lines = [
        "# Static scales inside the SSD", "",
        f"`tools/report_ssd_scales.py` on {args.max_tokens} tokens of held-out books; "
        f"{args.samples} pieces of {args.length} tokens calibrate. Recipe `ssdi8-w8a8` on "
        f"`{pathlib.Path(args.model).name}`, whose chunks have 256 tokens. Mean KL(float || "
        "quantized) in nats per token with its 95 % interval, median, and 99th percentile over "
        "tokens.", "",
        "| variant | window | mean KL | median | p99 |", "|---|--:|---|--:|--:|",
    ]
    for r in rows:
        low, high = r["kl_mean_ci95"]
        lines.append(f"| {r['variant']} | {r['window']} | {r['kl_mean']:.5f} "
                     f"[{low:.5f}, {high:.5f}] | {r['kl_p50']:.5f} | {r['kl_p99']:.4f} |")
    return "\n".join(lines) + "\n"


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as work:
        rows = run(args, pathlib.Path(work))
    common.write(args, rows, table(args, rows))


if __name__ == "__main__":
    common.start(main)
