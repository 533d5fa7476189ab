#!/usr/bin/env python3
"""Writes the golden S4D files under tests/golden/: the formulas of the paper, in double, in torch.

    pip install torch safetensors numpy && tools/make_s4d_goldens.py [--out tests/golden]
                                                                     [--data ../shared/data]

A layer is evaluated as an FFT convolution with its kernel (Gu et al. 2022, S4D), so nothing here
runs a recurrence or uses Octet. Each s4d_<case> of CASES holds a tiny random model (config.json with
model.safetensors, or model.pth as a training script saves it) and expected.safetensors in fp32:
  frames [T, d_input]; logits_<t> [d_output], after the first t frames; y [T, d_model], the first
  layer's S4D output.
With --data, s4d_shared/expected.safetensors gets the logits of the trained checkpoints there on the
first images of the test sets: mnist [8, 10], cifar10 [4, 10].
"""
import argparse
import gzip
import json
import math
import pathlib

import numpy
import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
FRAMES = 300
LENGTHS = (1, 2, 37, 256, 300)
REAL = {
    "exp": torch.exp,
    "relu": lambda v: torch.relu(v) + 1e-4,
    "softplus": torch.nn.functional.softplus,
    "sigmoid": torch.sigmoid,
    "none": lambda v: v,
}
CASES = {
    "s4d_post": dict(seed=1, layers=2, d_input=1, H=8, N=4, config=dict(), pth=True),
    "s4d_none": dict(seed=2, layers=1, d_input=1, H=6, N=32, B=True,
                     config=dict(norm="none", gelu="piecewise")),
    "s4d_pre": dict(seed=3, layers=2, d_input=3, H=5, N=7, B=True,
                    config=dict(norm="pre", discretization="bilinear", real_transform="softplus",
                                norm_eps=1e-3)),
    "s4d_relu": dict(seed=4, layers=1, d_input=2, H=3, N=1, config=dict(real_transform="relu")),
    "s4d_sigmoid": dict(seed=5, layers=1, d_input=2, H=17, N=16,
                        config=dict(real_transform="sigmoid", norm="none")),
    "s4d_identity": dict(seed=6, layers=1, d_input=1, H=4, N=3,
                         config=dict(real_transform="none", discretization="bilinear")),
}


def tiny_model(case, norm):
    torch.manual_seed(case["seed"])
    H, N = case["H"], case["N"]
    w = {"encoder.weight": torch.randn(H, case["d_input"]), "encoder.bias": torch.randn(H)}
    for i in range(case["layers"]):
        layer, kernel = f"s4_layers.{i}.", f"s4_layers.{i}.kernel."
        w[layer + "D"] = torch.randn(H)
        w[kernel + "C"] = torch.randn(H, N, 2) * 0.5
        if case.get("B"):
            w[kernel + "B"] = torch.randn(H, N, 2)
        w[kernel + "log_dt"] = torch.rand(H) * math.log(100) + math.log(0.001)
        real = 0.5 + 0.1 * torch.rand(H, N)
        positive = case["config"].get("real_transform", "exp") == "none"
        w[kernel + "log_A_real"] = real if positive else torch.log(real)
        w[kernel + "A_imag"] = math.pi * torch.arange(N) * (1 + 0.1 * torch.rand(H, N))
        w[layer + "output_linear.0.weight"] = torch.randn(2 * H, H, 1) / math.sqrt(H)
        w[layer + "output_linear.0.bias"] = torch.randn(2 * H) * 0.1
        if norm != "none":
            w[f"norms.{i}.weight"] = 1 + 0.2 * torch.randn(H)
            w[f"norms.{i}.bias"] = 0.2 * torch.randn(H)
    w["decoder.weight"] = torch.randn(10, H) / math.sqrt(H)
    w["decoder.bias"] = torch.randn(10)
    return w


def complex_of(pairs):
    return torch.view_as_complex(pairs.contiguous())


def kernel(w, prefix, config, length):
    """K[h, l] = 2 Re sum_n C Bbar Abar^l."""
    dt = torch.exp(w[prefix + "log_dt"])[:, None]
    real = REAL[config.get("real_transform", "exp")](w[prefix + "log_A_real"])
    a = torch.complex(-real, w[prefix + "A_imag"])
    b = complex_of(w[prefix + "B"]) if prefix + "B" in w else torch.ones_like(a)
    c = complex_of(w[prefix + "C"])
    steps = torch.arange(length, dtype=torch.float64)
    if config.get("discretization", "zoh") == "zoh":
        b_bar = b * torch.expm1(dt * a) / a
        log_a = dt * a
    else:
        b_bar = dt * b / (1 - dt * a / 2)
        log_a = torch.log((1 + dt * a / 2) / (1 - dt * a / 2))
    powers = torch.exp(log_a[:, :, None] * steps)
    return 2 * torch.einsum("hn,hnl->hl", c * b_bar, powers).real


def s4d(w, layer, config, u):
    """u [T, H] -> [T, H]."""
    T = u.shape[0]
    K = kernel(w, layer + "kernel.", config, T)
    spectrum = torch.fft.rfft(u.T, n=2 * T) * torch.fft.rfft(K, n=2 * T)
    return torch.fft.irfft(spectrum, n=2 * T)[:, :T].T + w[layer + "D"] * u


def gelu(config, v):
    if config.get("gelu", "exact") == "piecewise":
        return v * torch.clamp(v + 2, 0, 4) / 4
    return torch.nn.functional.gelu(v)


def run(weights, config, frames):
    """Logits after all frames, and the first layer's y."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    has_norms = "norms.0.weight" in w
    norm = config.get("norm", "post" if has_norms else "none")

    def normed(i, v):
        return torch.nn.functional.layer_norm(v, v.shape[-1:], w[f"norms.{i}.weight"],
                                              w[f"norms.{i}.bias"], config.get("norm_eps", 1e-5))

    u = frames.double() @ w["encoder.weight"].T + w["encoder.bias"]
    first = None
    for i in range(sum(name.endswith(".D") for name in w)):
        layer = f"s4_layers.{i}."
        y = s4d(w, layer, config, normed(i, u) if norm == "pre" else u)
        first = y if first is None else first
        linear = w[layer + "output_linear.0.weight"].reshape(-1, y.shape[1])
        z = gelu(config, y) @ linear.T + w[layer + "output_linear.0.bias"]
        u = u + torch.nn.functional.glu(z, dim=-1)
        if norm == "post":
            u = normed(i, u)
    return u.mean(0) @ w["decoder.weight"].T + w["decoder.bias"], first


def make_case(folder, case):
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "s4d", **case["config"]}
    weights = tiny_model(case, config.get("norm", "post"))
    if case.get("pth"):
        torch.save({"model": weights, "acc": 12.5, "epoch": 3}, folder / "model.pth")
    else:
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    frames = torch.randn(FRAMES, case["d_input"])
    expected = {"frames": frames, "y": run(weights, config, frames)[1].float()}
    for t in LENGTHS:
        expected[f"logits_{t}"] = run(weights, config, frames[:t])[0].float()
    safetensors.torch.save_file({k: v.contiguous() for k, v in expected.items()},
                                folder / "expected.safetensors")


def make_shared(folder, data):
    def checkpoint(name):
        return torch.load(data / "weights" / name, map_location="cpu", weights_only=True)["model"]

    with gzip.open(data / "mnist/t10k-images-idx3-ubyte.gz") as f:
        digits = numpy.frombuffer(f.read(16 + 8 * 784), numpy.uint8)[16:].reshape(8, 784, 1)
    cifar = numpy.fromfile(data / "cifar10/test_1000.bin", numpy.uint8, 4 * 3073)
    cifar = cifar.reshape(4, 3073)[:, 1:].reshape(4, 3, 1024).transpose(0, 2, 1)
    mean = torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64)
    std = torch.tensor([0.2023, 0.1994, 0.2010], dtype=torch.float64)
    sets = {
        "mnist": (checkpoint("s4d_mnist.pth"), torch.from_numpy(digits.copy()).double() / 255),
        "cifar10": (checkpoint("s4d_cifar10.pth"),
                    (torch.from_numpy(cifar.copy()).double() / 255 - mean) / std),
    }
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(
        {name: torch.stack([run(w, {}, frames)[0] for frames in images]).float()
         for name, (w, images) in sets.items()}, folder / "expected.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden")
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, case in CASES.items():
        make_case(args.out / name, case)
    if args.data:
        make_shared(args.out / "s4d_shared", args.data)


if __name__ == "__main__":
    main()
