"""What scripts have in common: how they fail, run octet, and write a report."""
import argparse
import json
import os
import pathlib
import subprocess
import sys


class Failed(Exception):
    """The text is one sentence, or empty where a program has printed its own."""


def start(main):
    """Runs a script's main(). What fails is one sentence, and exit status 2."""
    try:
        sys.exit(main())
    except Failed as e:
        why = str(e)
    except OSError as e:
        why = f"{e.filename}: {e.strerror}" if e.filename else str(e)
    if why:
        print(f"{pathlib.Path(sys.argv[0]).name}: {why}", file=sys.stderr)
    sys.exit(2)


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


def run(*command, quiet=False):
    """What a program prints. Its stderr goes on to the terminal, or with `quiet` into Failed."""
    command = [str(c) for c in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE if quiet else None)
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        raise Failed(f"{' '.join(command)}: died of signal {-done.returncode}")
    raise Failed(f"{' '.join(command)}: {done.stderr.strip()}" if quiet else "")


def octet(args, *command):
    """The JSON object that an octet command prints, run at niceness `args.nice` and on
    `args.threads` threads where args has these."""
    nice = ["nice", "-n", args.nice] if getattr(args, "nice", 0) else []
    threads = ["--threads", args.threads] if hasattr(args, "threads") else []
    printed = run(*nice, args.octet, *command, "--json", *threads)
    try:
        return json.loads(printed)
    except ValueError:
        raise Failed(f"{args.octet} {command[0]} printed no JSON") from None


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


def distinct_names(folders):
    """The shortest ends of the paths that tell them apart, as octet bench names models."""
    parts = [pathlib.PurePath(os.path.normpath(f)).parts for f in folders]
    parts = [p[1:] if p and p[0].startswith("/") else p for p in parts]
    names = [p[-1:] for p in parts]
    while True:
        longer = [p[-len(n) - 1:] if names.count(n) > 1 else n for p, n in zip(parts, names)]
        if longer == names:
            return ["/".join(n) for n in names]
        names = longer


def write_files(output, document, text, indent=1):
    """OUTPUT.json and OUTPUT.md, each complete when it appears; dots in OUTPUT are of its name."""
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    for suffix, contents in ((".json", json.dumps(document, indent=indent) + "\n"), (".md", text)):
        partial = pathlib.Path(f"{output}{suffix}.partial")
        partial.write_text(contents)
        partial.rename(f"{output}{suffix}")


def write(args, rows, table):
    write_files(args.output, {"samples": args.samples, "length": args.length,
                              "tokens": args.max_tokens, "rows": rows}, table, indent=2)
