"""What tools/report_*.py that quantize and compare have in common."""
import argparse
import json
import os
import pathlib
import subprocess


def parser(description, samples, length):
    """The options that all of them take, with these defaults."""
    p = argparse.ArgumentParser(description=description.split("\n")[0])
    p.add_argument("--octet", default="build/release/octet")
    p.add_argument("--calibration", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--samples", type=int, default=samples)
    p.add_argument("--length", type=int, default=length)
    p.add_argument("--max-tokens", type=int, default=16384)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--output", required=True, help="path without .json and .md")
    return p


def octet(args, *command):
    """The JSON object that an octet command prints, run at niceness `args.nice` if there is one."""
    nice = ["nice", "-n", str(args.nice)] if getattr(args, "nice", 0) else []
    done = subprocess.run([*nice, args.octet, *map(str, command), "--json", "--threads",
                           str(args.threads)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def cpu():
    """The processor's name."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def quantize(args, model, folder, *recipe):
    return octet(args, "quantize", model, *recipe, "--output", folder, "--calibration",
                 args.calibration, "--samples", args.samples, "--length", args.length)


def compare(args, model, folder, window):
    return octet(args, "compare", model, folder, "--text", args.text, "--window", window,
                 "--max-tokens", args.max_tokens)


def write(args, rows, table):
    pathlib.Path(args.output + ".json").write_text(
        json.dumps({"samples": args.samples, "length": args.length, "tokens": args.max_tokens,
                    "rows": rows}, indent=2) + "\n")
    pathlib.Path(args.output + ".md").write_text(table)
