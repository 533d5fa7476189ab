#!/usr/bin/env python3
"""Compares the speed of Octet with that of llama.cpp on this CPU, on the same random weights.

    bench/compare_llama_cpp.py [--rounds 5] [--threads 1,2] [--models mamba2-130m,mamba-130m]
                               [--kinds f32,bf16,w8,w4] [--prompts 512,2048] [--decode 64]
                               [--batches 8,32] [--isa avx2|avxvnni|avx512vnni]
                               [--calibration FILE] [--smoke] [--nice 0]
                               [--octet build/release/octet] [--work FOLDER] [--jobs N]
                               [--output docs/results/llama-cpp]

Builds llama.cpp from the sdist of llama-cpp-python, for this CPU, below --work (default
~/.cache/octet/llama-cpp); what is there is used again. tools/make_synthetic.py makes the models;
bench/gguf_mamba.py writes the same weights as GGUF, llama-quantize the other formats, octet
quantize the recipes. First both must give the same likelihood of a text in fp32. Then every cell
runs once in each round, in random order, and ratios are taken within rounds. Writes OUTPUT.json and
OUTPUT.md.

--isa limits both programs to that instruction set; llama.cpp gets a build of its own for it.
--calibration is text for octet quantize; by default random words. --nice is the niceness of what is
measured: on a machine that does other work, -10 (which root may) keeps most of it out. --smoke is
one short round of a few cells that writes below --work. Exit status 3 where PyPI cannot be reached,
2 where something else fails. Needs pip, cmake and a C++ compiler.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import re
import sys

import comparison
import llama_cpp_peer as peers
import llama_cpp_report as report

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import make_synthetic as synthetic  # noqa: E402
import report_common as common  # noqa: E402

CALIBRATION = {"samples": 8, "length": 256}  # pieces, and tokens of each; no matter for speed
SCORED_TOKENS = 256
# Sums in other orders change the likelihood by about 1e-6; a wrong tensor by 0.01 and more, rates A
# that are 2 % off by 2e-5 (Mamba-2) and 4e-3 (Mamba).
NLL_TOLERANCE = 1e-5


def recipe(name, narrow=False, **options):
    """A recipe file. Narrow: embedding and head in 8 bits, the head with 8-bit inputs, as
    llama-quantize narrows them and llama.cpp multiplies them."""
    ends = {"embedding": "i8", "head": "i8a8"} if narrow else {}
    return {"recipe": name, "options": {**options, **ends}}


# Octet's quantized cells: family, kind, label, recipe. The most accurate recipes of docs/results.
RECIPES = (
    ("mamba2", "w8", "ssdi8-plus-w8a8", recipe("ssdi8-plus-w8a8")),
    ("mamba2", "w8", "ssdi8-plus-w8a8, 8-bit ends", recipe("ssdi8-plus-w8a8", True)),
    ("mamba2", "w8", "ssdi8-plus-w8a8, 8-bit ends, int8 state",
     recipe("ssdi8-plus-w8a8", True, state="i8")),
    ("mamba2", "w4", "ssdi8-plus-w4a8, 8-bit ends", recipe("ssdi8-plus-w4a8", True)),
    ("mamba2", "w4", "ssdi8-plus-w4a8, 8-bit ends, int8 state",
     recipe("ssdi8-plus-w4a8", True, state="i8")),
    ("mamba", "w8", "w8a8-dynamic", recipe("w8a8-dynamic")),
    ("mamba", "w8", "quamba, 8-bit ends", recipe("quamba", True)),
    ("mamba", "w4", "had-s8 w4, 8-bit ends", recipe("had-s8", True, weights="w4")),
    ("mamba", "w4", "had-s8 w4, 8-bit ends, int8 state",
     recipe("had-s8", True, weights="w4", state="i8")),
)


def items(text):
    return [item for item in text.split(",") if item]


def numbers(text):
    return [int(item) for item in items(text)]


def check(p, a):
    """Exits for what would only fail after llama.cpp was built."""
    for flag, values, known in (("models", a.models, synthetic.PRESETS),
                                ("kinds", a.kinds, sorted(set(peers.KINDS.values())))):
        if unknown := sorted(set(values) - set(known)):
            p.error(f"--{flag}: {', '.join(unknown)} is none of {', '.join(known)}")
        if not values:
            p.error(f"--{flag}: needs at least one")
    for flag, values, least in (("rounds", [a.rounds], 1), ("threads", a.threads, 1),
                                ("prompts", a.prompts, 1), ("decode", [a.decode], 1),
                                ("batches", a.batches, 0), ("jobs", [a.jobs], 1)):
        if len(values) < least:
            p.error(f"--{flag}: needs at least one")
        if min(values, default=1) < 1:
            p.error(f"--{flag}: {min(values)} is less than 1")
    if a.calibration and not a.calibration.is_file():
        p.error(f"--calibration: there is no file {a.calibration}")


def arguments(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=numbers, default=[1, 2])
    p.add_argument("--models", type=items, default=["mamba2-130m", "mamba-130m"])
    p.add_argument("--kinds", type=items, default=["f32", "bf16", "w8", "w4"])
    p.add_argument("--prompts", type=numbers, default=[512, 2048])
    p.add_argument("--decode", type=int, default=64)
    p.add_argument("--batches", type=numbers, default=[8, 32])
    p.add_argument("--calibration", type=pathlib.Path)
    p.add_argument("--isa", choices=peers.ISAS, help="of both programs; default: the best")
    p.add_argument("--smoke", action="store_true")
    p.add_argument("--nice", type=int, default=0)
    p.add_argument("--octet", type=pathlib.Path, default=ROOT / "build/release/octet")
    p.add_argument("--work", type=pathlib.Path,
                   default=pathlib.Path.home() / ".cache/octet/llama-cpp")
    p.add_argument("--jobs", type=int, default=os.cpu_count(), help="of building llama.cpp")
    p.add_argument("--output", type=pathlib.Path, default=ROOT / "docs/results/llama-cpp")
    a = p.parse_args(argv)
    if a.smoke:
        a.rounds, a.threads, a.models, a.kinds = 1, [1], ["mamba2-130m"], ["f32", "w8"]
        a.prompts, a.decode, a.batches, a.output = [64], 8, [2], a.work / "smoke"
    check(p, a)
    return a


def say(text):
    print(text, file=sys.stderr, flush=True)


def octet(a, *command):
    return common.octet(argparse.Namespace(octet=a.octet, threads=max(a.threads)), *command)


def slug(label):
    return re.sub(r"[^a-z0-9]+", "-", label.lower())


def single_token_words(tokenizer):
    """{word with its leading space: id} of words that the tokenizer has whole."""
    vocab = json.loads(tokenizer.read_text())["model"]["vocab"]
    return {" " + token[1:]: number for token, number in sorted(vocab.items())
            if re.fullmatch("\u0120[a-z]{2,}", token)}


class Models:
    """The folders and files of one preset, made where they are missing."""

    def __init__(self, a, peer, name):
        self.a, self.peer, self.name = a, peer, name
        self.family = name.partition("-")[0]
        self.folder = a.work / "models" / name
        self.float = {kind: self.folder / kind for kind in ("bf16", "f32")}
        for kind, folder in self.float.items():
            self.make(folder, lambda target, kind=kind: peer.run(
                sys.executable, ROOT / "tools/make_synthetic.py", target, "--preset", name,
                "--dtype", kind))
        self.words = single_token_words(self.float["bf16"] / "tokenizer.json")

    def make(self, folder, write):
        """Calls write(new folder); the folder appears when it is complete."""
        if not folder.exists():
            say(f"{self.name}: making {folder.name}")
        peers.make_whole(folder, write)

    def random_words(self, seed, count):
        return random.Random(seed).choices(sorted(self.words), k=count)

    def calibration(self):
        if self.a.calibration:
            return self.a.calibration
        file = self.folder / "calibration.txt"
        size = CALIBRATION["samples"] * (CALIBRATION["length"] + 1)
        file.write_text("".join(self.random_words(1, size)))
        return file

    def quantize(self, label, plan):
        folder = self.folder / slug(label)
        plan_file = self.folder / f"{slug(label)}.recipe.json"

        def write(target):
            plan_file.write_text(json.dumps(plan, indent=2) + "\n")
            octet(self.a, "quantize", self.float["bf16"], "--recipe", plan_file, "--output", target,
                  "--calibration", self.calibration(), "--samples", CALIBRATION["samples"],
                  "--length", CALIBRATION["length"])

        self.make(folder, write)
        return folder

    def octet_cells(self):
        """(format, kind, folder, options of octet bench)."""
        yield "fp32", "f32", self.float["f32"], []
        yield "bf16", "bf16", self.float["bf16"], ["--bf16"]
        for family, kind, label, plan in RECIPES:
            if family == self.family and kind in self.a.kinds:
                yield label, kind, self.quantize(label, plan), []

    def peer_cells(self):
        """(format, kind, file)."""
        for kind_name, kind in peers.KINDS.items():
            if kind in self.a.kinds:
                file = self.folder / f"{kind_name}.gguf"
                self.peer.write_gguf(self.float["bf16"], file, kind_name)
                yield kind_name, kind, file

    def same_likelihood(self):
        """Both programs' nats per token of a random text in fp32. Raises Failed if they differ."""
        words = self.random_words(2, SCORED_TOKENS)
        text, tokens = self.folder / "text.txt", self.folder / "tokens.json"
        text.write_text("".join(words))
        tokens.write_text(json.dumps([self.words[w] for w in words]))
        ours = octet(self.a, "evaluate", "perplexity", self.float["f32"], "--text", text,
                     "--window", SCORED_TOKENS)
        self.peer.write_gguf(self.float["bf16"], self.folder / "F32.gguf", "F32")
        theirs = self.peer.nll(self.folder / "F32.gguf", tokens)
        result = {"octet_nll": ours["nll_per_token"], "llama_cpp_nll": theirs["nll_per_token"],
                  "tokens": theirs["tokens"], "system_info": theirs["system_info"]}
        if ours["tokens"] != theirs["tokens"] or not (
                abs(result["octet_nll"] - result["llama_cpp_nll"]) <= NLL_TOLERANCE):
            raise peers.Failed(f"{self.name}: llama.cpp computes another model: {result}")
        return result


def parse_octet(text):
    r = json.loads(text)
    return {row["test"]: row["tokens_per_s"]["median"] for row in r["rows"]}


def parse_octet_batch(text):
    return {test: speed for test, speed in parse_octet(text).items() if " b" in test}


def runs_of(a, peer, models):
    """([(key, function)], [cell]): each run is one process; a key is (model, engine, format,
    threads, part)."""
    runs, cells = [], []

    def add_cell(engine, label, kind, size):
        cells.append({"model": models.name, "engine": engine, "format": label, "kind": kind,
                      "bytes": size})

    nice = ["nice", "-n", a.nice] if a.nice else []
    isa = ["--isa", a.isa] if a.isa else []

    def add(engine, label, threads, part, command, parse):
        runs.append(((models.name, engine, label, threads, part),
                     lambda: comparison.measure(nice + command, threads, parse)))

    # The first prompt length goes with decoding; each other one is a run of its own.
    parts = [(n, a.decode if i == 0 else 0) for i, n in enumerate(a.prompts)]
    for label, kind, folder, options in models.octet_cells():
        if kind not in a.kinds:
            continue
        size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        add_cell("octet", label, kind, size)
        for threads in a.threads:
            for prompt, decode in parts:
                add("octet", label, threads, f"pp{prompt}",
                    [a.octet, "bench", folder, "--json", "--repeats", 1, "--threads", threads,
                     "--prefill", prompt, "--decode", decode, *isa, *options], parse_octet)
            if a.batches:
                add("octet", label, threads, "batches",
                    [a.octet, "bench", folder, "--json", "--repeats", 1, "--threads", threads,
                     "--prefill", 0, "--decode", a.decode, "--batch",
                     ",".join(map(str, a.batches)), *isa, *options], parse_octet_batch)
    for label, kind, file in models.peer_cells():
        add_cell("llama.cpp", label, kind, file.stat().st_size)
        for threads in a.threads:
            for prompt, decode in parts:
                add("llama.cpp", label, threads, f"pp{prompt}",
                    peer.speed_command(file, prompt, decode, threads), peers.parse_speed)
            if a.batches:
                add("llama.cpp", label, threads, "batches",
                    peer.batch_command(file, a.batches, a.decode, threads), peers.parse_batch)
    return runs, cells


def first_line(file, key):
    """Value of the first "key : value" line of a file of /proc, or ""."""
    found = re.search(rf"^{key}\s*:\s*(.*)$", pathlib.Path(file).read_text(), re.M)
    return found[1] if found else ""


def environment_of_octet(a):
    """Raises Failed for a program or an instruction set that is not there."""
    bench = octet(a, "bench", ROOT / "models/books-mamba2-5m", "--prefill", 16, "--decode", 0,
                  "--repeats", 1, *(["--isa", a.isa] if a.isa else []))
    return {
        "octet": common.run(a.octet, "--version").strip(),
        "octet_isa": bench["isa"],
        "octet_compiler": peers.compiler(a.octet.resolve().parent),
    }


def environment_of(a, ours, peer, system_info):
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": first_line("/proc/cpuinfo", "model name") or platform.machine(),
        "cpus": os.cpu_count(),
        "nice": a.nice,
        **ours,
        "llama_cpp": f"llama-cpp-python {peer.version}, llama.cpp {peer.commit()}",
        "llama_cpp_isa": ", ".join(re.findall(r"(\w+) = 1", system_info)),
        "llama_cpp_compiler": peers.compiler(peer.build)
                              + (", amx/mmq.cpp with -fno-tree-dse -fno-dse"
                                 if peer.workaround else ""),
    }


def main():
    a = arguments()
    ours = environment_of_octet(a)
    peer = peers.Peer(a.work, jobs=a.jobs, isa=a.isa)
    try:
        say(f"installing llama.cpp below {peer.work}")
        peer.install()
        runs, cells, same = [], [], {}
        for name in a.models:
            models = Models(a, peer, name)
            same[name] = models.same_likelihood()
            say(f"{name}: the likelihood of a text is the same, {same[name]['octet_nll']:.5f} and "
                f"{same[name]['llama_cpp_nll']:.5f} nats per token")
            more_runs, more_cells = runs_of(a, peer, models)
            runs += more_runs
            cells += more_cells
        environment = environment_of(
            a, ours, peer, [s.pop("system_info") for s in same.values()][0])
    except peers.Unreachable as e:
        say(f"compare_llama_cpp.py: llama.cpp cannot be had from PyPI: {e}")
        return 3
    load = []

    def progress(text):
        load.append(os.getloadavg()[0])
        say(text)

    rows = report.rows_of(comparison.rounds(a.rounds, runs, progress))
    document = {
        "environment": environment, "load_average": comparison.spread(load), "rounds": a.rounds,
        "same_likelihood": same, "cells": cells, "ratios": report.ratio_rows(rows, cells),
        "rows": rows}
    common.write_files(a.output, document, report.markdown(document))
    say(f"written: {a.output}.json and .md")
    return 0


if __name__ == "__main__":
    common.start(main)
