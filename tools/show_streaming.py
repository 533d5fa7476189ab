#!/usr/bin/env python3
"""Shows that a model larger than memory can be quantized, killed, and gone on with.

    tools/show_streaming.py SCRATCH [--octet build/release/octet] [--kills 3] [--seed 1]
                            [--d-model 2560] [--layers 64] [--vocab 50288]
                            [--report docs/results/streaming]

Makes a Mamba-2 of that shape in SCRATCH (tools/make_synthetic.py; the default is 2.7b, 5.4 GB),
quantizes it once in peace and once killed (SIGKILL) at random moments and started again, and
compares the SHA-256 of what both wrote. Memory is sampled every 20 ms from /proc/PID/status: RssAnon
is what the program holds, beyond the page cache that the mapped files are in. Fails when the bytes
differ or RssAnon exceeds 4 GiB. Writes REPORT.json and REPORT.md. SCRATCH needs three times the
checkpoint's size; what is left there is the checkpoint. Needs numpy.
"""
import argparse
import hashlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import report_common as common

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 4 << 30
RECIPE = "ssdi8-plus-w8a8"


def sha256(path):
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def status_bytes(pid, key):
    """A number of /proc/PID/status, or 0 when the process is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) << 10
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def finished_blocks(work):
    """Blocks that the work folder counts as finished."""
    try:
        return json.loads((work / "progress.json").read_text())["finished"]
    except (FileNotFoundError, json.JSONDecodeError):
        return 0


class Quantizer:
    def __init__(self, octet, model, text):
        self.octet, self.model, self.text = octet, model, text
        self.peak = 0

    def run(self, output, kill_after=None, delay=0.0):
        """Seconds; None when it was killed, `delay` after that many blocks were finished."""
        work = output.with_name(output.name + ".partial")
        command = [self.octet, "quantize", self.model, "--recipe", RECIPE, "--output", output,
                   "--calibration", self.text, "--samples", "4", "--length", "256"]
        start, kill_at = time.monotonic(), None
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while child.poll() is None:
            self.peak = max(self.peak, status_bytes(child.pid, "RssAnon"))
            if kill_after is not None and kill_at is None and finished_blocks(work) >= kill_after:
                kill_at = time.monotonic() + delay
            if kill_at is not None and time.monotonic() >= kill_at:
                child.send_signal(signal.SIGKILL)
                child.wait()
                return None
            time.sleep(0.02)
        if child.returncode != 0:
            raise common.Failed(f"octet quantize failed with {child.returncode}")
        return time.monotonic() - start


def make_model(a):
    model = a.scratch / f"synthetic-{a.d_model}-{a.layers}-{a.vocab}"
    if not (model / "model.safetensors.index.json").exists():
        shutil.rmtree(model, ignore_errors=True)
        common.run(sys.executable, ROOT / "tools/make_synthetic.py", model, "--d-model", a.d_model,
                   "--layers", a.layers, "--vocab", a.vocab)
    return model


def show(a):
    model = make_model(a)
    text = a.scratch / "calibration.txt"
    text.write_text("\n\n".join(p.read_text() for p in sorted((ROOT / "docs").glob("*.md"))))
    quantizer = Quantizer(a.octet, model, text)
    whole, killed = a.scratch / "whole", a.scratch / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_name(folder.name + ".partial"), ignore_errors=True)
    seconds = quantizer.run(whole)
    rng = random.Random(a.seed)
    kills = []
    for blocks in sorted(rng.sample(range(1, a.layers), min(a.kills, a.layers - 1))):
        if quantizer.run(killed, blocks, rng.uniform(0, seconds / a.layers)) is not None:
            sys.exit(f"the run ended before it could be killed after block {blocks}")
        kills.append(finished_blocks(killed.with_name("killed.partial")))
    quantizer.run(killed)
    files = ("model.safetensors", "config.json")
    result = {
        "recipe": RECIPE,
        "shape": {"d_model": a.d_model, "layers": a.layers, "vocab": a.vocab},
        "checkpoint_bytes": sum(f.stat().st_size for f in model.glob("*.safetensors")),
        "quantized_bytes": (whole / files[0]).stat().st_size,
        "seconds": round(seconds, 1),
        "peak_anonymous_bytes": quantizer.peak,
        "limit_bytes": LIMIT,
        "killed_after_blocks": kills,
        "sha256": sha256(whole / files[0]),
        "same_bytes": all(sha256(whole / f) == sha256(killed / f) for f in files),
    }
    for folder in (whole, killed):
        shutil.rmtree(folder)
    return result


def report(r):
    s = r["shape"]
    kills = ", ".join(map(str, r["killed_after_blocks"]))
    return f"""# Quantizing in little memory, and going on after kill -9

Written by `tools/show_streaming.py`; numbers in [streaming.json](streaming.json).

A Mamba-2 with random bf16 weights (d_model {s["d_model"]}, {s["layers"]} layers, vocabulary
{s["vocab"]}; tools/make_synthetic.py), quantized with `{r["recipe"]}` on 4 texts of 256 tokens, once in
peace and once killed with SIGKILL and started again.

| | |
|---|---:|
| checkpoint | {r["checkpoint_bytes"] / 1e9:.2f} GB |
| quantized | {r["quantized_bytes"] / 1e9:.2f} GB |
| peak memory beyond the page cache, all runs | {r["peak_anonymous_bytes"] / 2**30:.2f} GiB of {r["limit_bytes"] >> 30} |
| seconds, not killed | {r["seconds"]:.0f} |
| blocks finished when killed | {kills} |
| same bytes | {"yes" if r["same_bytes"] else "**no**"} |

What is held grows with the number of blocks only by the states of the check at the end.
`tools/show_streaming.py SCRATCH` alone takes the 64 blocks of mamba2-2.7b.
"""


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scratch", type=pathlib.Path)
    p.add_argument("--octet", type=pathlib.Path, default=ROOT / "build/release/octet")
    p.add_argument("--report", type=pathlib.Path, default=ROOT / "docs/results/streaming")
    for name, default in (("kills", 3), ("seed", 1), ("d-model", 2560), ("layers", 64),
                          ("vocab", 50288)):
        p.add_argument(f"--{name}", type=int, default=default)
    a = p.parse_args()
    common.run(a.octet, "--version")  # before the model is made
    a.scratch.mkdir(parents=True, exist_ok=True)
    result = show(a)
    common.write_files(a.report, result, report(result), indent=2)
    print(json.dumps(result, indent=2))
    if not result["same_bytes"]:
        sys.exit("the bytes differ")
    if result["peak_anonymous_bytes"] > LIMIT:
        sys.exit("more memory than the limit")


if __name__ == "__main__":
    common.start(main)
