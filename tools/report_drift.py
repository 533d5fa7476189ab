#!/usr/bin/env python3
"""Measures what narrow recurrent states cost over long decoding; writes docs/results/drift.{md,json}.

    tools/report_drift.py [--octet build/release/octet] [--data ../shared/data]
                          [--output docs/results/drift] [--tokens 4096] [--samples 128]

Decodes the first `--tokens` of DATA/books/valid.txt token by token with both shipped models, weights
and activations in float, once for each state format, and compares every step with an fp32 state.
Static scales (i8s) are calibrated on DATA/books/calibration.txt. Nothing in the report is typed in:
run it again to change it.
"""
import argparse
import json
import pathlib
import tempfile

import report_common as common

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ["books-mamba2-5m", "books-mamba-5m"]
FORMATS = ["f16", "f16+sr", "i16", "i16+sr", "i8", "i8+sr", "i8+ef", "i8s", "i8s+sr", "i8s+ef"]
SPANS = [(0, 64), (64, 512), (512, 2048), (2048, None)]


def run(*command):
    return json.loads(common.run(*command, quiet=True))


def mean_kl(report, first, last):
    """Mean KL per token over the buckets within [first, last)."""
    total = tokens = 0
    for bucket in report["buckets"]:
        if bucket["first"] < first or (last is not None and bucket["last"] > last):
            continue
        count = bucket["last"] - bucket["first"]
        total += bucket["kl_mean"] * count
        tokens += count
    return total / tokens if tokens else None


def measure(octet, model, data, folder, tokens, samples):
    recipe = folder / "state.json"
    recipe.write_text(json.dumps({"state": "i8s"}))
    calibrated = folder / model
    run(octet, "quantize", ROOT / "models" / model, "--recipe", recipe, "--output", calibrated,
        "--calibration", data / "books" / "calibration.txt", "--samples", samples, "--length", 512,
        "--force", "--json")
    return {f: run(octet, "evaluate", "drift", calibrated, "--state", f, "--tokens", tokens,
                   "--text", data / "books" / "valid.txt", "--json") for f in FORMATS}


def number(value):
    return "-" if value is None else f"{value:.2g}"


def table(reports):
    spans = [f"{a} to {b - 1}" if b else f"from {a}" for a, b in SPANS]
    lines = ["| format | bytes of a stream | " + " | ".join(f"mean KL, {s}" for s in spans) +
             " | state error at the end |", "|---" * (len(SPANS) + 3) + "|"]
    for name, r in reports.items():
        kl = [number(mean_kl(r, *s)) for s in SPANS]
        size = r["state_bytes_per_stream"]
        lines.append(f"| `{name}` | {size:,} ({size / r['fp32_state_bytes_per_stream']:.2f}) | " +
                     " | ".join(kl) + f" | {100 * r['buckets'][-1]['state_error']:.2g} % |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build/release/octet")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/drift")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--samples", type=int, default=128)
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            results[model] = measure(args.octet, model, args.data, pathlib.Path(folder), args.tokens,
                                     args.samples)
    text = ["# Drift of narrow recurrent states", "",
            f"Written by `tools/report_drift.py`: {args.tokens} tokens of books/valid.txt decoded one by",
            "one; KL in nats per token from the same float model with an fp32 state, by position;",
            "bytes of one stream with the convolution's history, and their share of fp32's; the state",
            "error is the euclidean norm of the difference over that of the fp32 state. Formats are",
            "those of [numerics.md](../numerics.md): `+sr` rounds stochastically, `+ef` feeds the error",
            "back with four more bits."]
    for model, reports in results.items():
        text += ["", f"## {model}", ""] + table(reports)
    small = {m: {f: mean_kl(r, 2048, None) for f, r in reports.items()}
             for m, reports in results.items()}
    if all(v is not None for reports in small.values() for v in reports.values()):
        text += ["", "## Which one to choose", "",
                 "The default is `f32`: a stream's state is small beside a model's weights, and nothing",
                 "is lost. By the last columns, where memory counts (many streams):", ""]
        for label, formats in (("2 bytes", ["f16", "f16+sr", "i16", "i16+sr"]),
                               ("1.5 bytes", ["i8+ef", "i8s+ef"]),
                               ("1 byte", ["i8", "i8+sr", "i8s", "i8s+sr"])):
            best = min(formats, key=lambda f: max(reports[f] for reports in small.values()))
            worst = max(reports[best] for reports in small.values())
            text.append(f"- {label}: `{best}` (KL {worst:.2g} from token 2048 on, the larger of the "
                        "models)")
    common.write_files(args.output, results, "\n".join(text) + "\n")


if __name__ == "__main__":
    common.start(main)
