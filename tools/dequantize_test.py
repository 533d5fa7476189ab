#!/usr/bin/env python3
"""Contracts of dequantize.py and of docs/format.md, on folders that the built program writes:

- int8 weights are the nearest multiples of their scale, and the scale is the one that
  docs/numerics.md gives for the float weights (per tensor: absmax; per row: w8a8-dynamic).
- 4-bit weights are the nearest points of a grid of at most 16 multiples of row scale times group
  multiplier, after a rotation that is rebuilt here from docs/format.md (ssdi8-w4a8; models whose
  sizes use every construction that the program chooses, "block" included).
- what dequantize.py gives is what the program decodes: quantizing it again gives the same codes.
- the tensors are those of the float model, as float32 of the same shapes.
- errors are one sentence that names the path.

OCTET_BIN names the program; by default build/release/octet.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

import dequantize as tool

ROOT = pathlib.Path(__file__).resolve().parent.parent
OCTET = os.environ.get("OCTET_BIN", str(ROOT / "build" / "release" / "octet"))
BOOKS = ROOT / "models" / "books-mamba2-5m"
LINEARS = ("in_proj", "out_proj")


def quantize(model, output, recipe, *options):
    subprocess.run([OCTET, "quantize", model, "--recipe", recipe, "--output", output, "--force",
                    "--samples", "2", "--length", "40", *options],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def scale_for(absmax, codes=127):
    """absmax / codes in fp32, rounded up to 12 significant bits (docs/numerics.md)."""
    mantissa, exponent = np.frexp(np.float64(np.float32(absmax) / np.float32(codes)))
    return np.float32(np.ldexp(np.ceil(mantissa * 4096) / 4096, exponent))


def paley(q, corner):
    """S = [[0, 1], [corner, J]] of docs/format.md."""
    chi = np.full(q, -1)
    chi[[i * i % q for i in range(q)]] = 1
    chi[0] = 0
    s = np.zeros((q + 1, q + 1))
    s[0, 1:], s[1:, 0] = 1, corner
    s[1:, 1:] = [[chi[(i - j) % q] for j in range(q)] for i in range(q)]
    return s


def paley1(q):
    return paley(q, -1) + np.eye(q + 1)


def paley2(q):
    return np.kron(paley(q, 1), [[1, 1], [1, -1]]) + np.kron(np.eye(q + 1), [[1, -1], [-1, -1]])


FACTORS = {
    "sylvester": np.ones((1, 1)),
    "paley1-12": paley1(11),
    "paley1-20": paley1(19),
    "paley2-28": paley2(13),
    "paley2-36": paley2(17),
    "paley1-20x2": np.kron([[1, 1], [1, -1]], paley1(19)),
}


def hadamard(n, name):
    """The orthonormal matrix that docs/format.md gives to an id and an order."""
    if name == "block":
        piece = n & -n
        return np.kron(np.eye(n // piece), hadamard(piece, "sylvester"))
    factor = FACTORS[name]
    sylvester = np.ones((1, 1))
    while len(factor) * len(sylvester) < n:
        sylvester = np.kron([[1, 1], [1, -1]], sylvester)
    return np.kron(factor, sylvester) / np.sqrt(n)


def automatic(n):
    """The id that "auto" stands for."""
    for name in ("sylvester", "paley1-12", "paley1-20", "paley2-28", "paley2-36"):
        power, rest = divmod(n, len(FACTORS[name]))
        if rest == 0 and power & (power - 1) == 0:
            return name
    return "block"


def write_folder(folder, config, tensors):
    """A float model folder of float32 tensors."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    header, offset = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": t.shape, "data_offsets": [offset, offset + t.nbytes]}
        offset += t.nbytes
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            f.write(np.ascontiguousarray(t, np.float32).tobytes())


def random_model(folder, d_model, heads, head_dim, seed):
    """Writes a two-layer model of these sizes and returns its tensors."""
    rng = np.random.default_rng(seed)
    d_inner, state = heads * head_dim, 16
    channels = d_inner + 2 * state
    tensors = {"backbone.embeddings.weight": rng.uniform(-1, 1, (61, d_model)),
               "backbone.norm_f.weight": rng.uniform(0.5, 1.5, d_model)}
    for i in range(2):
        tensors |= {f"backbone.layers.{i}.{name}": value for name, value in {
            "norm.weight": rng.uniform(0.5, 1.5, d_model),
            "mixer.in_proj.weight": rng.normal(0, 0.1, (d_inner + channels + heads, d_model)),
            "mixer.conv1d.weight": rng.uniform(-0.8, 0.8, (channels, 1, 4)),
            "mixer.conv1d.bias": rng.uniform(-0.2, 0.2, channels),
            "mixer.dt_bias": rng.uniform(-4, 0, heads),
            "mixer.A_log": rng.uniform(-1, 2, heads),
            "mixer.D": rng.uniform(0.5, 1.5, heads),
            "mixer.norm.weight": rng.uniform(0.5, 1.5, d_inner),
            "mixer.out_proj.weight": rng.normal(0, 0.1, (d_model, d_inner))}.items()}
    tensors = {name: t.astype(np.float32) for name, t in tensors.items()}
    config = {"model_type": "mamba2", "state_size": state, "n_groups": 1, "chunk_size": 16,
              "tie_word_embeddings": True}
    write_folder(folder, config, tensors)
    return tensors


class DequantizeTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def test_int8_weights_are_the_nearest_multiples(self):
        before = tool.read_safetensors(BOOKS / "model.safetensors")
        for recipe, rows in (("absmax", 1), ("w8a8-dynamic", None)):
            with self.subTest(recipe):
                quantize(BOOKS, self.scratch / recipe, recipe)
                after = tool.dequantize(self.scratch / recipe)
                for name in before:
                    if not name.endswith(tuple(f"{x}.weight" for x in LINEARS)):
                        continue
                    w = before[name].reshape(rows or len(before[name]), -1)
                    scale = np.array([[scale_for(np.abs(r).max())] for r in w])
                    codes = np.rint(w * (np.float32(1) / scale))
                    self.assertEqual(np.abs(codes).max(), 127)
                    want = (codes * scale).reshape(before[name].shape)
                    np.testing.assert_array_equal(after[name], want, name)
                    self.assertLessEqual((np.abs(after[name].reshape(w.shape) - w) / scale).max(),
                                         0.5 + 1e-6)

    def check_int4(self, w, folder, name, group):
        """The stored form of the matrix `w`, and its distance from it, in steps."""
        stored = tool.read_safetensors(folder / "model.safetensors")
        m = stored[name + "_group_scale"].astype(np.float64)
        base = stored[name + "_scale"].astype(np.float64)[:, None]
        rows, columns = w.shape
        self.assertEqual(m.shape, (rows, -(-columns // group)))
        self.assertEqual(stored[name].shape, (rows, (columns + 1) // 2))
        starts = range(0, columns, group)
        ideal = np.stack([2 * np.abs(w[:, s:s + group]).max(axis=1) / 15 for s in starts], axis=1)
        # The multiplier 127 belongs to a row's largest group; scales have 12 significant bits.
        ratio = base[:, 0] / (ideal.max(axis=1) / 127)
        self.assertTrue(np.all((ratio > 1 - 1e-6) & (ratio < 1 + 2 ** -11 + 1e-6)), name)
        np.testing.assert_array_less(np.abs(m - np.clip(ideal / base, 1, 127)), 0.5 + 1e-3)
        step = np.repeat(m, group, axis=1)[:, :columns] * base
        got = tool.dequantize(folder)[name]
        codes = got / step
        np.testing.assert_allclose(codes, np.rint(codes), atol=1e-5)
        self.assertTrue(np.rint(codes).min() >= -8 and np.rint(codes).max() <= 7)
        distance = np.abs(np.rint(codes) - np.clip(w / step, -8, 7))
        self.assertLessEqual(distance.max(), 0.5 + 1e-4, name)

    def test_int4_weights_are_rotated_and_nearest(self):
        sizes = [(48, 4, 10, "paley1-12", "paley1-20"), (56, 4, 18, "paley2-28", "paley2-36"),
                 (44, 2, 80, "block", "paley1-20"), (80, 3, 44, "paley1-20", "block"),
                 (72, 4, 28, "paley2-36", "paley2-28"), (64, 6, 16, "sylvester", "paley1-12")]
        for d_model, heads, head_dim, outer, inner in sizes:
            with self.subTest(d_model=d_model, d_inner=heads * head_dim):
                d_inner = heads * head_dim
                self.assertEqual((automatic(d_model), automatic(d_inner)), (outer, inner))
                model = self.scratch / f"m{d_model}"
                folder = self.scratch / f"q{d_model}"
                before = random_model(model, d_model, heads, head_dim, d_model)
                quantize(model, folder, "ssdi8-w4a8", "--option", "group=32",
                         "--option", "weight_method=rtn")
                graph = json.loads((folder / "config.json").read_text())
                graph = graph["quantization_config"]["graph"]
                self.assertEqual(graph["hadamard"], {f"layers.{i}.y_rot": inner for i in range(2)})
                h_d, h_i = hadamard(d_model, outer), hadamard(d_inner, inner)
                after = tool.dequantize(folder)
                for i in range(2):
                    block = f"backbone.layers.{i}."
                    in_proj = before[block + "mixer.in_proj.weight"] * np.float64(
                        before[block + "norm.weight"])
                    out_proj = before[block + "mixer.out_proj.weight"] * np.float64(
                        before[block + "mixer.norm.weight"])
                    self.check_int4(in_proj @ h_d.T, folder, block + "mixer.in_proj.weight", 32)
                    self.check_int4(h_d @ out_proj @ h_i.T, folder, block + "mixer.out_proj.weight",
                                    32)
                    for norm in ("norm", "mixer.norm"):
                        self.assertTrue(np.all(after[block + norm + ".weight"] == 1))
                table = before["backbone.embeddings.weight"]
                head = table * np.float64(before["backbone.norm_f.weight"])
                for name, want in (("backbone.embeddings.weight", table), ("lm_head.weight", head)):
                    np.testing.assert_allclose(after[name], want @ h_d.T, rtol=2 ** -10, atol=1e-6)

    def test_every_matrix_is_orthonormal(self):
        for name, factor in FACTORS.items():
            for n in (len(factor), 8 * len(factor)):
                h = hadamard(n, name)
                np.testing.assert_allclose(h @ h.T, np.eye(n), atol=1e-12)
        h = hadamard(44, "block")
        np.testing.assert_allclose(h @ h.T, np.eye(44), atol=1e-12)

    def test_quantizing_again_gives_the_same_codes(self):
        quantize(BOOKS, self.scratch / "first", "w8a8-dynamic")
        config = json.loads((self.scratch / "first" / "config.json").read_text())
        del config["quantization_config"]
        write_folder(self.scratch / "decoded", config, tool.dequantize(self.scratch / "first"))
        quantize(self.scratch / "decoded", self.scratch / "second", "w8a8-dynamic")
        first, second = (tool.read_safetensors(self.scratch / x / "model.safetensors")
                         for x in ("first", "second"))
        self.assertEqual(first.keys(), second.keys())
        compared = 0
        for name in first:
            if any(x in name for x in LINEARS):
                np.testing.assert_array_equal(first[name], second[name], name)
                compared += 1
        self.assertEqual(compared, 8 * 4)  # layers; two matrices and their scales

    def test_errors_are_one_sentence_that_names_the_path(self):
        folder = self.scratch / "broken"
        folder.mkdir()
        (folder / "config.json").write_text("{")
        output = self.scratch / "o.npz"
        self.assertEqual(tool.main([]), tool.__doc__)
        for path in (self.scratch / "none", BOOKS, folder):
            message = tool.main([str(path), str(output)])
            self.assertIn(str(path), message)
            self.assertNotIn("\n", message)
        self.assertFalse(output.exists())
        quantize(BOOKS, self.scratch / "q", "absmax")
        output = self.scratch / "none" / "o.npz"
        self.assertIn(str(output), tool.main([str(self.scratch / "q"), str(output)]))
        self.assertIsNone(tool.main([str(self.scratch / "q"), str(self.scratch / "o.npz")]))

    def test_tensors_are_those_of_the_float_model(self):
        before = random_model(self.scratch / "m", 48, 4, 10, 1)
        quantize(self.scratch / "m", self.scratch / "q", "absmax")
        after = tool.dequantize(self.scratch / "q")
        self.assertEqual({n: t.shape for n, t in before.items()},
                         {n: t.shape for n, t in after.items()})
        self.assertTrue(all(t.dtype == np.float32 for t in after.values()))
        for name in ("mixer.A_log", "mixer.D", "mixer.conv1d.weight", "mixer.conv1d.bias"):
            w = before["backbone.layers.1." + name]
            error = np.abs(after["backbone.layers.1." + name] - w).max()
            self.assertLessEqual(error, 0.5001 * scale_for(np.abs(w).max()))
            self.assertGreater(error, 0)


if __name__ == "__main__":
    unittest.main()
