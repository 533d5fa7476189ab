#!/usr/bin/env python3
"""S4D on sequential MNIST, float, quantized and trained through its quantizers; .json and .md.

Trains models of --heads heads, quantizes each with every recipe of octet s4d recipes, trains some
of them through their quantizers, exports what can be exported, and measures everything on all test
images. What is in --work already is not made again, so the script can be interrupted.

  tools/report_s4d.py --mnist MNIST --work WORK --output docs/results/s4d
"""
import argparse
import json
import os
import pathlib
import subprocess

from report_common import Failed, octet, start, write_files

# Recipes without training, and those that are trained, with what is trained of the layers.
RECIPES = ["paper-w8a8", "paper-w4a6", "w8a8", "w4a6", "w8a8-x16", "w4a6-x16"]
TRAINED = [("paper-w8a8", "frozen"), ("paper-w4a6", "frozen"), ("w4a6", "frozen")]
# Accuracy in % of arXiv:2506.12480, table II and figure 5: mean and deviation of five models.
PAPER = {
    (16, "float"): "97.20 ± 0.25", (64, "float"): "98.79 ± 0.12",
    (16, "paper-w8a8"): "35.4 ± 8", (64, "paper-w8a8"): "50.0 ± 7",
    (16, "paper-w4a6"): "29.36 ± 14.58", (64, "paper-w4a6"): "39.46 ± 14.98",
    (16, "paper-w8a8", "frozen"): "92.64 ± 0.62", (64, "paper-w8a8", "frozen"): "97.66 ± 0.30",
    (16, "paper-w4a6", "frozen"): "88.39 ± 1.40", (64, "paper-w4a6", "frozen"): "95.99 ± 0.56",
}
# Accuracy in % of its figures 2 and 3, 16 heads, by bits.
PAPER_SENSITIVITY = {
    "A": {16: 97.1, 8: 72.3, 6: 9.2, 4: 10.3, 2: 9.6},
    "B": {16: 97.1, 8: 97.1, 6: 97.1, 4: 96.8, 2: 85.9},
    "C": {16: 97.1, 8: 97.1, 6: 97.0, 4: 96.7, 2: 68.7},
    "D": {16: 97.1, 8: 97.1, 6: 97.1, 4: 97.1, 2: 96.0},
    "x, static": {16: 97.1, 8: 44.0, 6: 11.8, 4: 10.3, 2: 11.9},
    "x, dynamic": {16: 97.1, 8: 88.6, 6: 17.6, 4: 11.1, 2: 10.1},
    "other activations, static": {16: 96.9, 8: 97.0, 6: 96.2, 4: 70.0, 2: 16.8},
    "other activations, dynamic": {16: 97.1, 8: 97.0, 6: 96.8, 4: 88.9, 2: 13.6},
    "everything, per tensor": {16: 97.1, 8: 18.1, 6: 10.0, 4: 9.4, 2: 9.4},
    "everything, per head, asymmetric": {16: 97.1, 8: 68.1, 6: 9.6, 4: 9.7, 2: 9.5},
    "everything, per head, symmetric": {16: 97.1, 8: 57.0, 6: 10.3, 4: 9.9, 2: 9.5},
}
MODES = 32
CLASSES = 10


def numbers(text):
    return [int(item) for item in text.split(",")]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--octet", default="build/release/octet")
    p.add_argument("--mnist", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--output", required=True, help="path without .json and .md")
    p.add_argument("--heads", type=numbers, default=[64, 16])
    p.add_argument("--epochs", type=int, default=20)
    p.add_argument("--qat-epochs", type=int, default=4)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--limit", type=int, default=0, help="test images; 0: all")
    p.add_argument("--sensitivity-images", type=int, default=1000)
    p.add_argument("--digits-test", help="build/release/tests/tests_digits_test; its images are in "
                   "a folder mnist")
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


def made(folder, make):
    """Makes a folder unless it is there."""
    if not (folder / "config.json").exists() and not (folder / "report.json").exists():
        print(f"making {folder}", flush=True)
        make()
    return folder


def train(args, heads):
    folder = pathlib.Path(args.work) / f"f{heads}"
    return made(folder, lambda: octet(
        args, "s4d", "train", "--mnist", args.mnist, "--output", folder, "--d-model", heads,
        "--epochs", args.epochs, "--seed", args.seed))


def quantize(args, source, heads, recipe):
    folder = pathlib.Path(args.work) / f"p{heads}-{recipe}"
    return made(folder, lambda: octet(
        args, "s4d", "quantize", source, "--mnist", args.mnist, "--recipe", recipe, "--output",
        folder, "--limit", 100))


def allocate(args, source, heads, base):
    """`base` with widths chosen within the bytes that it takes itself as C."""
    sizes = export(args, quantize(args, source, heads, base), heads)["sizes"]
    budget = sizes["flash, tables: bytes"] + sizes["RAM of a stream: bytes"]
    folder = pathlib.Path(args.work) / f"p{heads}-{base}-allocated"
    recipe = pathlib.Path(args.work) / f"widths{heads}-{base}.json"

    def make():
        octet(args, "s4d", "allocate", source, "--mnist", args.mnist, "--recipe", base,
              "--budget-kb", budget / 1000, "--output", recipe)
        octet(args, "s4d", "quantize", source, "--mnist", args.mnist, "--recipe", recipe,
              "--output", folder, "--limit", 100)
    return made(folder, make)


def qat(args, source, heads, recipe, parameters):
    folder = pathlib.Path(args.work) / f"q{heads}-{recipe}-{parameters}"
    return made(folder, lambda: octet(
        args, "s4d", "qat", source, "--mnist", args.mnist, "--recipe", recipe, "--parameters",
        parameters, "--epochs", args.qat_epochs, "--seed", args.seed, "--output", folder))


def evaluate(args, folder, *flags):
    """Measured once for a folder."""
    kept = folder.parent / f"{folder.name}{''.join(flags)}-{args.limit}.result.json"
    if not kept.exists():
        print(f"measuring {folder} {' '.join(flags)}", flush=True)
        kept.write_text(json.dumps(octet(args, "s4d", "evaluate", folder, "--mnist", args.mnist,
                                         "--limit", args.limit, *flags)))
    return json.loads(kept.read_text())


def export(args, folder, heads):
    """Sizes of the exported C, or why there is none."""
    target = folder.parent / f"c-{folder.name}"
    command = [args.octet, "export", "c", folder, "--output", target, "--name", f"mnist{heads}"]
    if not (target / "report.json").exists():
        done = subprocess.run([*map(str, command)], stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, text=True, check=False)
        if done.returncode == 2:
            return {"refused": done.stderr.strip().split(": ", 2)[-1]}
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
    report = json.loads((target / "report.json").read_text())
    del report["source"]  # a path of this machine
    return report


def paper_bytes(heads, plan):
    """Bytes of parameters, states and activations in the accounting of arXiv:2506.12480, without
    the words of it that nothing explains; plan None: in float. Scales are not counted there."""
    widths = (32, 32, 32, 32) if plan is None else (
        plan["linears"]["bits"], pole_bits(plan["A"]), plan["x"]["code"]["bits"],
        plan["activations"]["bits"])
    linears, pole, state, activation = widths  # of the plan as a whole
    weights = 4 * heads * MODES + heads + heads + 2 * heads * heads + CLASSES * heads
    return (linears * weights + pole * heads * MODES * (2 if plan is None else 1) +
            state * 2 * heads * MODES + activation * 4 * heads + 32 * (3 * heads + CLASSES)) / 8


def pole_bits(A):
    """Of one complex number."""
    return A["bits"] + A["phase_bits"] if A["phase_bits"] else 2 * A["bits"]


def measure(args, folder, heads, recipe, trained):
    config = json.loads((folder / "config.json").read_text())
    plan = config["quantization_config"]["plan"]
    row = {"heads": heads, "recipe": recipe, "trained": trained, "plan": plan,
           "training": config.get("training") if trained else None,
           "simulated": evaluate(args, folder), "export": export(args, folder, heads),
           "paper_bytes": paper_bytes(heads, plan), "float_bytes": paper_bytes(heads, None),
           "paper": PAPER.get((heads, recipe, trained) if trained else (heads, recipe))}
    if "refused" not in row["export"]:
        row["integers"] = evaluate(args, folder, "--integers")
    return row


def run(args):
    rows = []
    for heads in args.heads:
        source = train(args, heads)
        config = json.loads((source / "config.json").read_text())
        rows.append({"heads": heads, "recipe": "float", "trained": None,
                     "training": config["training"], "simulated": evaluate(args, source),
                     "paper_bytes": paper_bytes(heads, None), "paper": PAPER.get((heads, "float"))})
        for recipe in RECIPES:
            rows.append(measure(args, quantize(args, source, heads, recipe), heads, recipe, None))
        rows.append(measure(args, allocate(args, source, heads, "w4a6"), heads, "w4a6, allocated",
                            None))
        for recipe, parameters in TRAINED:
            folder = qat(args, source, heads, recipe, parameters)
            rows.append(measure(args, folder, heads, recipe, parameters))
    return rows


def sensitivity(args):
    """octet s4d sensitivity of the smallest model."""
    heads = min(args.heads)
    work = pathlib.Path(args.work)
    kept, plots = work / f"sensitivity{heads}.json", work / f"sensitivity{heads}.html"
    if not kept.exists():
        print("measuring what breaks first", flush=True)
        done = octet(args, "s4d", "sensitivity", train(args, heads), "--mnist", args.mnist,
                     "--limit", args.sensitivity_images, "--html", plots)
        done["model"] = f"{heads} heads"
        kept.write_text(json.dumps(done, indent=1) + "\n")
    for file in (kept, plots):
        text = file.read_text().replace(str(work / f"f{heads}"), f"{heads} heads")
        pathlib.Path(args.output + "-sensitivity" + file.suffix).write_text(text)
    return json.loads(kept.read_text())


def same_codes(args):
    """What the test of the shipped model's C says of all test images."""
    if not args.digits_test:
        return ""
    environment = {**os.environ, "OCTET_DIGITS_IMAGES": "10000",
                   "OCTET_DATA": str(pathlib.Path(args.mnist).parent)}
    done = subprocess.run([args.digits_test, "--gtest_filter=*SameLogitsInC/shipped"],
                          stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        raise Failed(f"{args.digits_test} failed: {done.stdout.strip()[-500:]}")
    line = next(l for l in done.stdout.splitlines() if "with other logits" in l)
    return f"\nThe shipped `digits-s4d-16h-w4a6` as C against the integer run: {line}.\n"


def sensitivity_table(s):
    bits = sorted({c["bits"] for c in s["cells"]}, reverse=True)
    text = f"""
## What breaks first

`octet s4d sensitivity` of the model with {s["model"]}, on {s["images"]:,} test images; float:
{100 * s["accuracy"]:.1f} %. In brackets arXiv:2506.12480, figures 2 and 3. One layer; the plots are
in the .html file beside this one.

| quantized alone | """ + " | ".join(f"{b} bits" for b in bits) + """ |
|---|""" + "---:|" * len(bits) + "\n"
    rows = {}
    for c in s["cells"]:
        rows.setdefault(c["quantized"], {})[c["bits"]] = c["accuracy"]
    for name, cells in rows.items():
        paper = PAPER_SENSITIVITY.get(name, {})
        text += f"| {name} | " + " | ".join(
            f"{100 * cells[b]:.1f}" + (f" ({paper[b]})" if b in paper else "")
            for b in bits) + " |\n"
    return text


def percent(result):
    return f"{100 * result['accuracy']:.2f} ± {100 * result['standard_error']:.2f}"


def sizes(row):
    if row["recipe"] == "float":
        return "", "", ""
    saving = ("" if row["plan"]["widths"] else
              f"{100 * (1 - row['paper_bytes'] / row['float_bytes']):.1f} %")
    if "refused" in row["export"]:
        return saving, "", ""
    s = row["export"]["sizes"]
    return saving, f"{s['flash, tables: bytes']:,}", f"{s['RAM of a stream: bytes']:,}"


def table(rows):
    images = rows[0]["simulated"]["images"]
    text = f"""# S4D on sequential MNIST

`tools/report_s4d.py`: one model of each size, trained here; accuracy in % on {images:,} test images
with the standard error of that number of images (not of several models). Recipes are those of
`octet s4d recipes`; `paper-` ones are arXiv:2506.12480's, the others Octet's. *trained*: through the
quantizers, from the float model, with A as it was quantized (frozen); the number of epochs is in the
last table. *integers*: the run that `octet export c` writes as C, where the recipe can be exported
(three roundings of the state cannot). *allocated*: widths by `octet s4d allocate` within the bytes
that the uniform recipe takes as C. *saving* counts bits as the paper does, without scales, of
parameters, states and activations, against 32 bits. *flash* and *RAM* are bytes of the tables of the
exported C and of a stream's context. The paper's accuracies, of its own five models each, are beside
for orientation.

| heads | recipe | trained | accuracy | integers | paper | saving | flash | RAM |
|---:|---|---|---:|---:|---:|---:|---:|---:|
"""
    for r in rows:
        integers = percent(r["integers"]) if "integers" in r else ""
        saving, flash, ram = sizes(r)
        text += (f"| {r['heads']} | {r['recipe']} | {r['trained'] or ''} | {percent(r['simulated'])} "
                 f"| {integers} | {r['paper'] or ''} | {saving} | {flash} | {ram} |\n")
    text += """
Trainings: accuracy in % on the last sixth of the training images, epoch by epoch.

| heads | recipe | learning rate | batch | epochs |
|---:|---|---:|---:|---|
"""
    for r in rows:
        if not r.get("training"):
            continue
        t = r["training"]
        epochs = " ".join(f"{100 * a:.2f}" for a in t["validation_accuracy"])
        text += f"| {r['heads']} | {r['recipe']} | {t['lr']} | {t['batch']} | {epochs} |\n"
    return text


def main():
    args = arguments()
    pathlib.Path(args.work).mkdir(parents=True, exist_ok=True)
    rows = run(args)
    text = table(rows) + same_codes(args) + sensitivity_table(sensitivity(args))
    write_files(args.output, {"rows": rows}, text)


if __name__ == "__main__":
    start(main)
