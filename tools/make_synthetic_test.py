#!/usr/bin/env python3
"""Contracts of make_synthetic.py:

- the presets have the parameters of the published models.
- --dtype f32 holds the values of bf16; shards do not change values; the seed does.
- an option replaces one size of a preset; contradictions are refused.
- the program loads both families, and computes finite logits that depend on the text.

OCTET_BIN names the program; by default build/release/octet.
"""
import contextlib
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

import make_outlier_copy as checkpoint
import make_synthetic as tool

ROOT = pathlib.Path(__file__).resolve().parent.parent
OCTET = os.environ.get("OCTET_BIN", str(ROOT / "build" / "release" / "octet"))
SMALL = ("--d-model", "64", "--layers", "2", "--vocab", "4100")


def parameters(*options):
    return sum(int(np.prod(shape)) for _, shape, _ in tool.shapes(tool.arguments(["x", *options])))


class SyntheticTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def make(self, name, *options):
        with contextlib.redirect_stderr(io.StringIO()):
            tool.make(tool.arguments([str(self.scratch / name), *SMALL, *options]))
        return checkpoint.read_checkpoint(self.scratch / name)

    def test_presets_are_the_published_models(self):
        # What Hugging Face shows for state-spaces/mamba-130m-hf, mamba2-130m and mamba2-2.7b.
        self.assertEqual(parameters("--preset", "mamba-130m"), 129_135_360)
        self.assertEqual(parameters("--preset", "mamba2-130m"), 128_989_632)
        self.assertEqual(parameters(), 2_702_599_680)

    def test_options_beside_a_preset(self):
        a = tool.arguments(["x", "--preset", "mamba-130m", "--layers", "3"])
        self.assertEqual((a.family, a.layers, a.d_model, a.state), ("mamba", 3, 768, 16))
        for bad in (("--preset", "mamba-130m", "--family", "mamba2"), ("--head-dim", "63")):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                tool.arguments(["x", *bad])

    def test_values(self):
        for family in ("mamba", "mamba2"):
            with self.subTest(family):
                bf16 = self.make(f"{family}-bf16", "--family", family)
                f32 = self.make(f"{family}-f32", "--family", family, "--dtype", "f32",
                                "--shard-mb", "1")
                other = self.make(f"{family}-seed", "--family", family, "--seed", "2")
                self.assertEqual(bf16.keys(), f32.keys())
                for name in bf16:
                    np.testing.assert_array_equal(bf16[name], f32[name], name)
                    self.assertFalse(np.array_equal(bf16[name], other[name]), name)
                    self.assertTrue(np.all(np.isfinite(bf16[name])), name)
                self.assertGreater(len(list((self.scratch / f"{family}-f32").glob("*.safetensors"))),
                                   1)

    def test_the_program_loads_them(self):
        for family in ("mamba", "mamba2"):
            with self.subTest(family):
                self.make(family, "--family", family)
                nll = [self.nll(family, text) for text in ("the old man and the sea " * 4,
                                                           "sea the and man old the " * 4)]
                self.assertTrue(all(0 < n < 200 for n in nll), nll)
                self.assertNotEqual(*nll)

    def nll(self, family, text):
        file = self.scratch / "text.txt"
        file.write_text(text)
        done = subprocess.run([OCTET, "evaluate", "perplexity", self.scratch / family, "--text", file,
                               "--window", "16", "--json"], check=True, capture_output=True)
        self.assertEqual(done.stderr, b"")  # no warning about sizes
        return json.loads(done.stdout)["nll_per_token"]


if __name__ == "__main__":
    unittest.main()
