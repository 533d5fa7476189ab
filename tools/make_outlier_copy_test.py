#!/usr/bin/env python3
"""Contracts of make_outlier_copy.py, with numpy only (--check covers the logits):

- in_proj * diag(norm) and out_proj * diag(mixer.norm), the only products the network sees, are
  unchanged; everything else has the source's values; all is F32.
- exactly --channels channels per norm change, by factors in [1, --max-factor].
- the same seed gives the same bytes, another seed other channels; --layers restricts.
"""
import pathlib
import tempfile
import unittest

import numpy as np

import make_outlier_copy as tool

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
PAIRS = (("norm", "mixer.in_proj"), ("mixer.norm", "mixer.out_proj"))


class OutlierCopyTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def copy(self, name, model="mamba2_g2", **options):
        options = {"channels": 8, "max_factor": 100.0, "layers": "", "seed": 1, **options}
        tool.copy_with_outliers(GOLDEN / model, self.scratch / name, **options)
        return tool.read_checkpoint(self.scratch / name)

    def test_products_are_unchanged(self):
        for model in ("mamba2_g1", "mamba2_g2", "mamba2_g4"):  # BF16, F16, F32 in shards
            with self.subTest(model):
                before = tool.read_checkpoint(GOLDEN / model)
                after = self.copy(model, model)
                self.assertEqual(before.keys(), after.keys())
                rescaled = set()
                for i in range(2):
                    for norm, linear in PAIRS:
                        norm = f"backbone.layers.{i}.{norm}.weight"
                        linear = f"backbone.layers.{i}.{linear}.weight"
                        rescaled |= {norm, linear}
                        old = before[linear].astype(np.float64) * before[norm]
                        new = after[linear].astype(np.float64) * after[norm]
                        # Two roundings to fp32.
                        np.testing.assert_allclose(new, old, rtol=2 ** -22)
                for name in before.keys() - rescaled:
                    np.testing.assert_array_equal(after[name], before[name])

    def test_reads_the_stored_values(self):
        # A_log was drawn from (-0.7, 2.8), norm weights around 1: a wrong widening shows.
        for model in ("mamba2_g1", "mamba2_g2", "mamba2_g4"):
            tensors = tool.read_checkpoint(GOLDEN / model)
            a_log = tensors["backbone.layers.1.mixer.A_log"]
            self.assertTrue(np.all((a_log > -0.75) & (a_log < 2.85)), model)
            self.assertLess(abs(tensors["backbone.norm_f.weight"].mean() - 1), 0.2, model)

    def test_factors(self):
        before, after = tool.read_checkpoint(GOLDEN / "mamba2_g2"), self.copy("a", channels=5)
        for norm in ("norm", "mixer.norm"):
            name = f"backbone.layers.1.{norm}.weight"
            factors = after[name] / before[name]
            changed = factors[factors != 1]
            self.assertEqual(len(changed), 5)
            self.assertTrue(np.all((changed > 1) & (changed <= 100 * (1 + 1e-6))))

    def test_seed_and_layers(self):
        self.copy("a")
        self.copy("b")
        same = [(self.scratch / x / "model.safetensors").read_bytes() for x in "ab"]
        self.assertEqual(*same)
        other = self.copy("c", seed=2)
        second = self.copy("d", layers="1")
        all_layers = tool.read_checkpoint(self.scratch / "a")
        before = tool.read_checkpoint(GOLDEN / "mamba2_g2")
        name = "backbone.layers.{}.norm.weight"
        self.assertFalse(np.array_equal(other[name.format(0)], all_layers[name.format(0)]))
        np.testing.assert_array_equal(second[name.format(0)], before[name.format(0)])
        np.testing.assert_array_equal(second[name.format(1)], all_layers[name.format(1)])


if __name__ == "__main__":
    unittest.main()
