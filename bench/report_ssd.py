#!/usr/bin/env python3
"""Measures the stages of the SSD in floats and in codes, in the form of SSDi8's table of kernels.

    bench/report_ssd.py --model mamba2-130m [--chunk-sizes 64,256] [--tokens 256,512,1024,2048]
                        [--repeats 15] [--isa NAME] [--nice 0] [--output docs/results/ssd-stages]

The model gives only its shapes: tools/make_synthetic.py, which needs numpy, makes one of the
published sizes. Writes OUTPUT.json and OUTPUT.md. --nice is the niceness of what is measured, as in
compare_llama_cpp.py. Exit status 2 where octet or a file fails.
"""
import argparse
import datetime
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from report_common import cpu, octet, start, write_files  # noqa: E402


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--chunk-sizes", default="64,256")
    p.add_argument("--tokens", default="256,512,1024,2048")
    p.add_argument("--repeats", type=int, default=15)
    p.add_argument("--isa")
    p.add_argument("--nice", type=int, default=0)
    p.add_argument("--octet", default=str(ROOT / "build/release/octet"))
    p.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/ssd-stages")
    return p.parse_args()


def measure(a, chunk_size):
    return octet(a, "bench", a.model, "--ssd", a.tokens, "--chunk-size", chunk_size, "--repeats",
                 a.repeats, *(["--isa", a.isa] if a.isa else []))


def table(run):
    tokens = sorted({row["tokens"] for row in run["ssd"]})
    lines = ["| us of a layer | " + " | ".join(
        f"fp32, {t} | int8 | ratio" for t in tokens) + " |", "|---|" + "--:|" * 3 * len(tokens)]
    for stage in dict.fromkeys(row["stage"] for row in run["ssd"]):
        cells = []
        for row in run["ssd"]:
            if row["stage"] == stage:
                cells += [f"{row['fp32_us']['median']:.0f}", f"{row['int8_us']['median']:.0f}",
                          f"{row['ratio']['median']:.2f}"]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return lines


def main():
    a = arguments()
    load = os.getloadavg()[0]
    runs = [measure(a, size) for size in a.chunk_sizes.split(",")]
    first = runs[0]
    lines = [
        "# Stages of the SSD in floats and in codes", "",
        "Written by `bench/report_ssd.py`; the .json file beside this has the spreads.", "",
        f"{cpu()}, {first['isa']}, one thread, {datetime.date.today()}, load average {load:.1f}. "
        f"{first['heads']} heads of {first['head_dim']}, states of {first['state_size']}, "
        f"{first['groups']} group{'s'[:first['groups'] > 1]}: one layer, random values, fp32 state. "
        f"Medians of {a.repeats} repeats of both forms in turn; a ratio is the median of those within "
        "repeats. SSDi8 reports, on a GPU against fp16, ChunkScan up to 1.77 and StatePassing 2.25 "
        "times as fast.",
        "", "Both forms are one kernel that keeps a chunk in cache: what the papers' separate "
        "kernels write to memory between stages, above all the states of all chunks, is never "
        "written here, so that a ratio of one stage need not be theirs. ChunkScan's second half, the "
        "weighted sum over earlier tokens, is in fp32 in both forms, as SSDi8 defines it.",
    ]
    for run in runs:
        lines += ["", f"## Chunks of {run['chunk_size']} tokens", "", *table(run)]
    write_files(a.output, {"cpu": cpu(), "load": load, "runs": runs}, "\n".join(lines) + "\n")


if __name__ == "__main__":
    start(main)
