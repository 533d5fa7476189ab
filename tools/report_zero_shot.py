#!/usr/bin/env python3
"""Compares octet evaluate tasks with lm-evaluation-harness and transformers, item by item.

    pip install lm-eval==0.4.13 transformers torch
    tools/report_zero_shot.py --data DIR [--limit 100] [--full] [--output docs/results/zero-shot]

Both read the first --limit items of the files in DIR (docs/evaluation.md), in the layout of the
harness's data sets; the harness runs its own tasks with transformers in fp32 on the CPU. Writes
OUTPUT.json and OUTPUT.md, and fails when a log-likelihood differs by more than 1e-3, or a decision
that is no tie. --full adds what Octet makes of all items, and of a quantized copy.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

import lm_eval_tasks
import report_common

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-3  # nats
QUANTIZED = {"books-mamba2-5m": "ssdi8-plus-w8a8", "books-mamba-5m": "quamba"}


def hub_hellaswag(line):
    if "query" not in line:
        return line
    activity, _, rest = line["query"].partition(": ")
    return {"activity_label": activity, "ctx_a": rest, "ctx_b": "", "endings": line["choices"],
            "label": str(line["gold"])}


def hub_arc(line):
    if "gold" in line:
        texts, labels = line["choices"], [chr(ord("A") + i) for i in range(len(line["choices"]))]
        return {"question": line["question"], "choices": {"text": texts, "label": labels},
                "answerKey": labels[line["gold"]]}
    if isinstance(line["question"], dict):
        choices = line["question"]["choices"]
        return {"question": line["question"]["stem"], "answerKey": line["answerKey"],
                "choices": {k: [c[k] for c in choices] for k in ("text", "label")}}
    return line


HUB = {"hellaswag": hub_hellaswag, "arc_easy": hub_arc, "arc_challenge": hub_arc}


def write_hub_files(data, folder, limit):
    """The first items of each file, in the layout of the harness's data set."""
    for name, (file, _, _) in lm_eval_tasks.TASKS.items():
        lines = [json.loads(line) for line in (data / file).read_text().splitlines()[:limit]]
        if name == "piqa" and "label" not in lines[0]:
            labels = (data / "piqa_valid_labels.lst").read_text().split()
            lines = [{**line, "label": int(label)} for line, label in zip(lines, labels)]
        lines = [HUB.get(name, dict)(line) for line in lines]
        (folder / file).write_text("".join(json.dumps(line) + "\n" for line in lines))


class Clock:
    """Wall and CPU seconds of a block, of this process or of its children."""

    def __init__(self, who):
        self.who = who

    def __enter__(self):
        self.begin = time.monotonic(), self.cpu()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu_seconds = (b - a for a, b in zip(
            self.begin, (time.monotonic(), self.cpu())))

    def cpu(self):
        used = resource.getrusage(self.who)
        return used.ru_utime + used.ru_stime


def run_octet(args, model, data, name, *more):
    """Report, items, and seconds of the whole program."""
    items = pathlib.Path(name)
    with Clock(resource.RUSAGE_CHILDREN) as clock:
        report = report_common.octet(args, "evaluate", "tasks", model, "--data", data, "--items",
                                     items, *more)
    return report, [json.loads(line) for line in items.read_text().splitlines()], clock


def decisions(row, scores, lengths):
    """Whether the item of Octet decides like the harness, up to ties: [(equal, tie)]."""
    values = [ll for ll, _ in scores]
    out = []
    for key, per in (("prediction", None), ("prediction_norm", lengths)):
        if key not in row:
            continue
        own = [v / n if per else v for v, n in zip(values, lengths)]
        best = max(own)
        slack = 2 * TOLERANCE / (min(lengths) if per else 1)
        out.append((own.index(best) == row[key], best - own[row[key]] <= slack))
    return out


def compare_task(task, rows, scored):
    """One row of the report."""
    out = {"items": len(rows), "requests": 0, "max_difference": 0.0, "greedy_differs": 0,
           "decisions": 0, "ties": 0, "decisions_differ": 0}
    for row, (doc, _, scores, result) in zip(rows, scored, strict=True):
        out["requests"] += len(scores)
        for (ll, greedy), own, own_greedy in zip(scores, row["loglikelihood"], row["is_greedy"],
                                                 strict=True):
            out["max_difference"] = max(out["max_difference"], abs(ll - own))
            out["greedy_differs"] += greedy != own_greedy
        if task.OUTPUT_TYPE != "multiple_choice":
            out["decisions"] += 1
            out["decisions_differ"] += row["acc"] != result["acc"]
            continue
        lengths = [max(len(c), 1) for c in task.doc_to_choice(doc)]
        for equal, tie in decisions(row, scores, lengths):
            out["decisions"] += 1
            out["ties"] += not equal and tie
            out["decisions_differ"] += not equal and not tie
    for metric in ("acc", "acc_norm"):
        values = [result[metric] for _, _, _, result in scored if metric in result]
        if values:
            out[metric] = {"harness": sum(values) / len(values),
                           "octet": sum(row[metric] for row in rows) / len(rows)}
    return out


def compare_model(args, model, data, work):
    """Both programs on the same items, Octet first."""
    _, items, octet_clock = run_octet(args, model, data, work / "items.jsonl")
    lm = lm_eval_tasks.model(model, batch_size=args.batch_size, threads=args.threads)
    out = {"model": pathlib.Path(model).name, "tasks": {}}
    wall = cpu = 0.0
    for name, task in lm_eval_tasks.tasks(data).items():
        with Clock(resource.RUSAGE_SELF) as clock:
            scored, seconds = lm_eval_tasks.score(lm, task)
        wall, cpu = wall + seconds, cpu + clock.cpu_seconds
        rows = [row for row in items if row["task"] == name]
        out["tasks"][name] = compare_task(task, rows, scored)
        print(out["model"], name, out["tasks"][name], file=sys.stderr)
    out["seconds"] = {"octet": octet_clock.wall, "harness": wall}
    out["cpu_seconds"] = {"octet": octet_clock.cpu_seconds, "harness": cpu}
    return out


def full_model(args, model, work):
    """All items, of the model and of a quantized copy compared with it."""
    recipe = QUANTIZED.get(pathlib.Path(model).name, "w8a8-dynamic")
    report, items, clock = run_octet(args, model, args.data, work / "float.jsonl")
    report_common.octet(args, "quantize", model, "--recipe", recipe, "--output", work / "quantized")
    quantized, _, quantized_clock = run_octet(
        args, work / "quantized", args.data, work / "quantized.jsonl", "--baseline",
        work / "float.jsonl")
    return {"model": pathlib.Path(model).name, "recipe": recipe, "items": len(items),
            "requests": sum(len(i["loglikelihood"]) for i in items),
            "float": report, "quantized": quantized,
            "seconds": {"float": clock.wall, "quantized": quantized_clock.wall},
            "cpu_seconds": {"float": clock.cpu_seconds, "quantized": quantized_clock.cpu_seconds}}


def percent(pair):
    return f"{100 * pair['octet']:.2f}" + (
        "" if pair["octet"] == pair["harness"] else f" ({100 * pair['harness']:.2f})")


def compared_table(run):
    lines = ["| task | items | requests | largest difference, nats | other decisions | ties |"
             " greedy differs | acc % | acc_norm % |", "|---|" + "--:|" * 8]
    for name, t in run["tasks"].items():
        norm = percent(t["acc_norm"]) if "acc_norm" in t else ""
        lines.append(
            f"| {name} | {t['items']} | {t['requests']} | {t['max_difference']:.1e} |"
            f" {t['decisions_differ']} of {t['decisions']} | {t['ties']} | {t['greedy_differs']} |"
            f" {percent(t['acc'])} | {norm} |")
    seconds, cpu = run["seconds"], run["cpu_seconds"]
    lines += ["", f"Seconds: Octet {seconds['octet']:.1f}, the harness {seconds['harness']:.1f},"
              f" {seconds['harness'] / seconds['octet']:.1f} times as long; CPU seconds"
              f" {cpu['octet']:.1f} and {cpu['harness']:.1f}, {cpu['harness'] / cpu['octet']:.1f}"
              " times."]
    return lines


def full_table(run):
    paired = {t["task"]: t for t in run["quantized"]["paired"]["tasks"]}
    lines = [f"{run['items']} items, {run['requests']} requests:"
             f" {run['seconds']['float']:.0f} s (float), {run['seconds']['quantized']:.0f} s"
             f" (`{run['recipe']}`); CPU {run['cpu_seconds']['float']:.0f} s and"
             f" {run['cpu_seconds']['quantized']:.0f} s.", "",
             f"| task | metric | float % | {run['recipe']} % | difference, 95 % | lost | won | p |"
             " log-likelihood, 95 % |", "|---|---|" + "--:|" * 7]
    for t in run["float"]["tasks"]:
        p = paired[t["task"]]
        low, high = p["difference_ci95"]
        ll_low, ll_high = p["loglikelihood_difference_ci95"]
        lines.append(
            f"| {t['task']} | {t['metric']} | {100 * p['baseline']:.2f} | {100 * p['model']:.2f} |"
            f" {100 * p['difference']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] | {p['lost']} |"
            f" {p['won']} | {p['mcnemar_p']:.2g} | {p['loglikelihood_difference']:+.4f}"
            f" [{ll_low:+.4f}, {ll_high:+.4f}] |")
    low, high = run["quantized"]["paired"]["average_difference_ci95"]
    lines.append(
        f"| average | | {100 * run['float']['average']:.2f} |"
        f" {100 * run['quantized']['average']:.2f} |"
        f" {100 * run['quantized']['paired']['average_difference']:+.2f}"
        f" [{100 * low:+.2f}, {100 * high:+.2f}] | | | | |")
    return lines


def text(result):
    v = result["versions"]
    lines = [
        "# Zero-shot tasks beside lm-evaluation-harness", "",
        "Written by `tools/report_zero_shot.py`; the .json file beside this has every number.", "",
        f"Octet {result['octet']}, lm-eval {v['lm_eval']}, transformers {v['transformers']}, torch"
        f" {v['torch']}. {result['cpu']}, {result['threads']} threads each, {result['date']}, load"
        f" average {result['load'][0]:.1f} at the start and {result['load'][1]:.1f} at the end.", "",
        f"The same items, the first {result['limit']} of each task, through both programs, in"
        " floats. The harness runs its own tasks with transformers in fp32, in batches of"
        f" {result['batch_size']}; its seconds are those of scoring, Octet's those of the whole"
        " program. Decisions are the choices by acc and by acc_norm; a tie is one whose two best"
        f" values are closer than the tolerance of {TOLERANCE:g} nats a request. In brackets: the"
        " harness's accuracy where it is another.", ""]
    for run in result["compared"]:
        lines += [f"## {run['model']}", "", *compared_table(run), ""]
    if result["full"]:
        lines += ["# All items", "", "Octet alone. The quantized copy is calibrated on text that the"
                  " model writes, and compared with the float model item by item"
                  " ([evaluation.md](../evaluation.md)). These models are tiny: many scores are"
                  " those of guessing, and the log-likelihood of the right answer says more.", ""]
    for run in result["full"]:
        lines += [f"## {run['model']}", "", *full_table(run), ""]
    return "\n".join(lines).rstrip() + "\n"


def agrees(run):
    return all(t["max_difference"] <= TOLERANCE and t["decisions_differ"] == 0
               for t in run["tasks"].values())


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--octet", default=str(ROOT / "build/release/octet"))
    p.add_argument("--data", type=pathlib.Path, required=True)
    p.add_argument("--models", nargs="+", default=[
        str(ROOT / "models/books-mamba2-5m"), str(ROOT / "models/books-mamba-5m")])
    p.add_argument("--limit", type=int, default=100)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--full", action="store_true")
    p.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/zero-shot")
    args = p.parse_args()
    version = report_common.run(args.octet, "--version").split()[1]
    result = {"octet": version, "versions": lm_eval_tasks.versions(), "cpu": report_common.cpu(),
              "threads": args.threads, "date": str(datetime.date.today()),
              "load": [os.getloadavg()[0]], "limit": args.limit, "batch_size": args.batch_size,
              "compared": [], "full": []}
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            (work / "data").mkdir()
            write_hub_files(args.data, work / "data", args.limit)
            with contextlib.redirect_stdout(sys.stderr):
                result["compared"].append(compare_model(args, model, work / "data", work))
            if args.full:
                result["full"].append(full_model(args, model, work))
    result["load"].append(os.getloadavg()[0])
    report_common.write_files(args.output, result, text(result), indent=2)
    if not all(agrees(run) for run in result["compared"]):
        sys.exit("Octet and the harness differ")


if __name__ == "__main__":
    report_common.start(main)
