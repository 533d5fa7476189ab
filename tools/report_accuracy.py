#!/usr/bin/env python3
"""Measures the accuracy of every recipe and writes docs/results/accuracy.{md,json}.

    tools/report_accuracy.py [--octet build/release/octet] [--data ../shared/data]
                             [--output docs/results/accuracy] [--bytes 200000] [--samples 512]

Calibrates on DATA/books/calibration.txt, compares each quantized model with its float model on the
first `--bytes` of DATA/books/valid.txt and DATA/wikitext2/wiki.test.raw, in independent windows of 512
tokens (the length that calibration saw) and of 2048 tokens, for the shipped model and for a copy of
the same function with outlier channels (tools/make_outlier_copy.py, which needs numpy).
Nothing in the report is typed in: run it again to change it.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import report_common as common

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "books-mamba2-5m"
# (label, recipe, options)
RECIPES = [
    ("absmax", "absmax", []),
    ("w8a8-dynamic", "w8a8-dynamic", []),
    ("had-s8, ssd=float", "had-s8", ["ssd=float"]),
    ("ssdi8-w8a8", "ssdi8-w8a8", []),
    ("ssdi8-plus-w8a8, inner_scales=static", "ssdi8-plus-w8a8", ["inner_scales=static"]),
    ("ssdi8-plus-w8a8", "ssdi8-plus-w8a8", []),
    ("ssdi8-w4a8", "ssdi8-w4a8", []),
    ("ssdi8-plus-w4a8", "ssdi8-plus-w4a8", []),
    ("ssdi8-plus-w4a8, group=32", "ssdi8-plus-w4a8", ["group=32"]),
]
# Those measured on the outlier copy.
ON_OUTLIERS = ["absmax", "had-s8, ssd=float", "ssdi8-w8a8", "ssdi8-plus-w8a8", "ssdi8-plus-w4a8"]
WINDOWS = [512, 2048]
OUTLIER_WINDOWS = [2048]


def run(*command):
    return common.run(*command, quiet=True)


def measure(octet, model, texts, calibration, samples, folder, labels, windows):
    """One row for each recipe, text and window."""
    rows = []
    for label, recipe, options in RECIPES:
        if label not in labels:
            continue
        quantized = folder / f"q-{len(rows)}"
        options = [f"--option={o}" for o in options]
        # --force: a recipe that breaks the model is part of the report.
        made = json.loads(run(octet, "quantize", model, "--recipe", recipe, "--output", quantized,
                              "--calibration", calibration, "--samples", samples, "--length", 512,
                              "--force", "--json", *options))
        size = sum(f.stat().st_size for f in quantized.glob("*.safetensors"))
        for name, text in texts.items():
            for window in windows:
                report = json.loads(run(octet, "compare", model, quantized, "--text", text,
                                        "--window", window, "--stride", window, "--json"))
                rows.append({"recipe": label, "text": name, "window": window, "bytes": size,
                             "failures": made["failures"], **report})
                print(f"{label:38} {name:9} {window:5} KL {report['kl_mean']:.5f} "
                      f"ratio {report['perplexity_ratio']:.4f}", file=sys.stderr, flush=True)
    return rows


def interval(low_high):
    return f"{low_high[0]:.4f} to {low_high[1]:.4f}"


def table(rows):
    lines = ["| recipe | text | window | perplexity ratio (95 % interval) | mean KL (95 % interval) "
             "| KL p99 | top-1 |", "|---|---|--:|---|---|--:|--:|"]
    for r in rows:
        kl = r["kl_mean_ci95"]
        lines.append(
            f"| {r['recipe']} | {r['text']} | {r['window']} | {r['perplexity_ratio']:.4f} "
            f"({interval(r['perplexity_ratio_ci95'])}) | {r['kl_mean']:.5f} ({kl[0]:.5f} to {kl[1]:.5f}) "
            f"| {r['kl_p99']:.4f} | {100 * r['top1_agreement']:.2f} % |")
    return "\n".join(lines)


def find(rows, recipe, text, window):
    return next(r for r in rows
                if r["recipe"] == recipe and r["text"] == text and r["window"] == window)


def expectations(plain, spiked, texts):
    """What the recipes promise, and whether this run shows it."""
    lines = ["| expectation | text | window | measured | holds |", "|---|---|--:|---|---|"]

    def add(what, text, window, measured, holds):
        lines.append(f"| {what} | {text} | {window} | {measured} | {'yes' if holds else '**no**'} |")

    for text in texts:
        for window in WINDOWS:
            get = lambda recipe: find(plain, recipe, text, window)
            for recipe, limit in (("ssdi8-w8a8", 1.01), ("ssdi8-plus-w8a8", 1.005),
                                  ("ssdi8-plus-w4a8", 1.03)):
                ratio = get(recipe)["perplexity_ratio"]
                add(f"{recipe}: perplexity ratio at most {limit}", text, window, f"{ratio:.4f}",
                    ratio <= limit)
            for better, worse in (("ssdi8-w8a8", "absmax"), ("ssdi8-plus-w8a8", "ssdi8-w8a8")):
                a, b = get(better)["kl_mean"], get(worse)["kl_mean"]
                add(f"{better}: KL below {worse}", text, window, f"{a:.5f} against {b:.5f}", a < b)
            if window not in OUTLIER_WINDOWS:
                continue
            for recipe in ("had-s8, ssd=float", "ssdi8-w8a8", "ssdi8-plus-w8a8", "ssdi8-plus-w4a8"):
                a, b = find(spiked, recipe, text, window)["kl_mean"], get(recipe)["kl_mean"]
                add(f"{recipe}: outlier channels change KL by less than 30 %", text, window,
                    f"{a:.5f} against {b:.5f}", abs(a - b) < 0.3 * b)
            a = find(spiked, "absmax", text, window)["kl_mean"]
            b = get("absmax")["kl_mean"]
            add("absmax: outlier channels multiply KL by more than 3", text, window,
                f"{a:.5f} against {b:.5f}", a > 3 * b)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build/release/octet")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/accuracy")
    parser.add_argument("--bytes", type=int, default=200_000)
    parser.add_argument("--samples", type=int, default=512)
    args = parser.parse_args()
    calibration = args.data / "books" / "calibration.txt"
    if not calibration.exists():
        raise common.Failed(f"{calibration} is not there; see --data")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        texts = {}
        for name, source in (("books", "books/valid.txt"), ("wikitext2", "wikitext2/wiki.test.raw")):
            texts[name] = folder / f"{name}.txt"
            texts[name].write_bytes((args.data / source).read_bytes()[:args.bytes])
        outliers = folder / "outliers"
        run(sys.executable, ROOT / "tools/make_outlier_copy.py", MODEL, outliers)
        for side in ("plain", "spiked"):
            (folder / side).mkdir()
        plain = measure(args.octet, MODEL, texts, calibration, args.samples, folder / "plain",
                        [label for label, _, _ in RECIPES], WINDOWS)
        spiked = measure(args.octet, outliers, texts, calibration, args.samples, folder / "spiked",
                         ON_OUTLIERS, OUTLIER_WINDOWS)
    version = run(args.octet, "--version").strip()
    text = f"""# Accuracy of the recipes

Written by `tools/report_accuracy.py` with {version}; do not edit.

Model: `{MODEL.relative_to(ROOT)}`. Calibration: {args.samples} pieces of 512 tokens of English books.
Texts: the first {args.bytes} bytes of other books and of WikiText-2's test set, in independent windows.
Intervals: 95 %, bootstrap over blocks of tokens. [accuracy-notes.md](accuracy-notes.md) explains what
does not hold.

## Expectations

{expectations(plain, spiked, texts)}

## The model as it is

{table(plain)}

## The same function with outlier channels

{table(spiked)}
"""
    common.write_files(args.output, {"version": version, "plain": plain, "outliers": spiked}, text)


if __name__ == "__main__":
    common.start(main)
