#!/usr/bin/env python3
"""Measures perplexity by position in long texts; writes OUTPUT.md and OUTPUT.json.

    tools/report_context.py --calibration ../shared/data/books/calibration.txt \\
        --text ../shared/data/books/valid.txt --samples 64 --output docs/results/context

Quantizes both shipped models by a few recipes and scores each beside its float model on the same
stretches of text (octet evaluate context), the state carried over --max-tokens tokens. Nothing in
the report is typed in: run it again to change it.
"""
import pathlib
import tempfile

import report_common

RECIPES = {
    "books-mamba2-5m": [("absmax", ()), ("ssdi8-w8a8", ()), ("ssdi8-plus-w8a8", ()),
                        ("ssdi8-plus-w8a8", ("state=i8",))],
    "books-mamba-5m": [("absmax", ()), ("quamba", ()), ("w8a8-dynamic", ()),
                       ("w8a8-dynamic", ("state=i8",))],
}


def measure(args, model, recipe, options, folder):
    source = pathlib.Path("models") / model
    flags = [f for option in options for f in ("--option", option)]
    report_common.quantize(args, source, folder, "--recipe", recipe, *flags)
    report = report_common.octet(args, "evaluate", "context", folder, "--reference", source,
                                 "--text", args.text, "--tokens", args.max_tokens,
                                 "--segments", args.segments)
    if report["segments"] < 6:
        raise report_common.Failed(
            f"{args.text}: only {report['segments']} stretches; intervals need at least 6")
    return {"model": model, "recipe": " ".join((recipe, *options)),
            "segments": report["segments"], "buckets": report["buckets"]}


def interval(bucket, name, digits):
    low, high = bucket[name + "_ci95"]
    return f"{bucket[name]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def trend(row):
    """Whether the ratio at the end is apart from that of the first bucket of 64 tokens or more."""
    first, last = row["buckets"][1], row["buckets"][-1]
    if last["ratio_ci95"][0] > first["ratio_ci95"][1]:
        return "grows"
    if last["ratio_ci95"][1] < first["ratio_ci95"][0]:
        return "shrinks"
    return "not told apart"


def table(model, rows):
    lines = ["", f"## {model}", "", "| tokens | float | " +
             " | ".join(f"`{r['recipe']}`" for r in rows) + " |", "|---" * (len(rows) + 2) + "|"]
    for i, bucket in enumerate(rows[0]["buckets"]):
        lines.append(f"| {bucket['first']} to {bucket['last'] - 1} | "
                     f"{interval(bucket, 'reference_perplexity', 2)} | " +
                     " | ".join(interval(r["buckets"][i], "ratio", 4) for r in rows) + " |")
    lines.append("| mean KL, first and last row | | " +
                 " | ".join(f"{r['buckets'][0]['kl_mean']:.2g}, {r['buckets'][-1]['kl_mean']:.2g}"
                            for r in rows) + " |")
    lines.append("| ratio, second row to last | | " + " | ".join(trend(r) for r in rows) + " |")
    return lines


def main():
    parser = report_common.parser(__doc__, samples=64, length=512)
    parser.add_argument("--segments", type=int, default=8)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model, recipes in RECIPES.items():
            for recipe, options in recipes:
                rows.append(measure(args, model, recipe, options, f"{folder}/{len(rows)}"))
    text = ["# Perplexity by position", "",
            f"Written by `tools/report_context.py`: {rows[0]['segments']} stretches of "
            f"{args.max_tokens} tokens of {pathlib.Path(args.text).name},",
            "each read from an empty state that is carried to its end (`octet evaluate context`).",
            "Perplexity of the float model, then that of each recipe over it; 95 % intervals draw",
            "whole stretches, so that neighbouring rows of `float` differ by what is hard in the text.",
            "A state that drifts would show as a ratio that grows down a column."]
    for model in RECIPES:
        text += table(model, [r for r in rows if r["model"] == model])
    report_common.write(args, rows, "\n".join(text) + "\n")


if __name__ == "__main__":
    report_common.start(main)
