#!/usr/bin/env python3
"""Measures where the time of a prompt and of decoding goes, beside the roofs of the machine.

    bench/report_stages.py --models DIR,DIR [--isas avx2,avxvnni,avx512vnni] [--prefill 512]
                           [--decode 32] [--repeats 5] [--threads 1] [--nice 0]
                           [--output docs/results/stages]

All models and instruction sets are measured in turn in every repeat. Writes OUTPUT.json and
OUTPUT.md, and the roofline of the first model on the last instruction set as OUTPUT.svg. Models are
called by the shortest ends of their paths that tell them apart. --nice is the niceness of what is
measured, as in compare_llama_cpp.py. Exit status 2 where octet or a file fails.
"""
import argparse
import datetime
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from report_common import Failed, cpu, distinct_names, octet, start, write_files  # noqa: E402

KINDS = {"prefill": "a prompt", "decode": "decoding"}


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", required=True)
    p.add_argument("--isas", default="avx2,avxvnni,avx512vnni")
    p.add_argument("--prefill", type=int, default=512)
    p.add_argument("--decode", type=int, default=32)
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--nice", type=int, default=0)
    p.add_argument("--octet", default=str(ROOT / "build/release/octet"))
    p.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/stages")
    return p.parse_args()


def table(rows):
    """Stages down, instruction sets across: microseconds a token and the share of the roof."""
    stages = {}
    for row in rows:
        for stage in row["stages"]:
            stages.setdefault(stage["stage"], {})[row["isa"]] = stage
    isas = [row["isa"] for row in rows]
    order = sorted(stages, key=lambda s: -max(c["us_per_token"] for c in stages[s].values()))
    lines = ["| us a token, share of its roof | " + " | ".join(isas) + " |",
             "|---|" + "--:|" * len(isas)]
    for name in order:
        cells = []
        for isa in isas:
            stage = stages[name].get(isa)
            share = stage and stage["share_of_roof"]
            cells.append("" if stage is None else f"{stage['us_per_token']:.1f}" +
                         (f", {100 * share:.0f} %" if share else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    speeds = [f"{row['tokens_per_s']['median']:.0f}" for row in rows]
    lines.append("| **tokens a second** | " + " | ".join(speeds) + " |")
    if all("share_of_bandwidth" in row for row in rows) and rows[0]["kind"] == "decode":
        shares = [f"{100 * row['share_of_bandwidth']:.0f} %" for row in rows]
        lines.append("| **share of the bandwidth** | " + " | ".join(shares) + " |")
    return lines


def roofs(run):
    lines = ["| | memory, GB/s | int8, Gop/s | fp32, Gflop/s |", "|---|--:|--:|--:|"]
    for roof in run["roofs"]:
        values = [roof[key]["median"] / 1e9 for key in
                  ("read_bytes_per_s", "int8_operations_per_s", "fp32_operations_per_s")]
        lines.append(f"| {roof['isa']} | " + " | ".join(f"{v:.0f}" for v in values) + " |")
    return lines


def names_of(models):
    """{folder: what the report calls it}."""
    names = dict(zip(models, distinct_names(models)))
    if len(set(names.values())) < len(models):
        raise Failed("--models names a folder twice")
    return names


def main():
    a = arguments()
    models = a.models.split(",")
    names = names_of(models)
    a.output.parent.mkdir(parents=True, exist_ok=True)
    command = ["--prefill", a.prefill, "--decode", a.decode, "--repeats", a.repeats, "--stages"]
    run = octet(a, "bench", *models, *command, "--isa", a.isas)
    octet(a, "bench", models[0], *command, "--isa", a.isas.split(",")[-1], "--roofline",
          f"{a.output}.svg")
    for part in (*run["models"], *run["rows"]):
        part["model"] = names[part["model"]]
    lines = [
        "# Where the time goes", "",
        "Written by `bench/report_stages.py`; the .json file beside this has the spreads.", "",
        f"{cpu()}, {a.threads} thread{'s'[:a.threads > 1]}, {datetime.date.today()}, load average "
        f"{run['load_average']:.1f}. Medians of {a.repeats} repeats, in each of which all models "
        "and instruction sets were measured in turn, stages in runs of their own. The roof of a "
        "stage is the memory bandwidth for decoding, and for a prompt the peak of its arithmetic: "
        "dot products of codes, or fp32. Caches can be faster than memory.", "",
        "Roofs, measured in the same repeats:", "", *roofs(run),
    ]
    for model in names.values():
        for kind, what in KINDS.items():
            rows = [r for r in run["rows"] if r["model"] == model and r["kind"] == kind]
            tokens = f"{a.prefill} tokens at once" if kind == "prefill" else "one token at a time"
            lines += ["", f"## {model}, {what}: {tokens}", "", *table(rows)]
    write_files(a.output, {"cpu": cpu(), **run}, "\n".join(lines) + "\n")


if __name__ == "__main__":
    start(main)
