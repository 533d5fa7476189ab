#!/usr/bin/env python3
"""Contracts of tools/count_instructions, without running anything:

1. A count within 5 % of its figure passes, more or fewer fails, and so does a name that is new or
   gone.
2. What a token executes is the difference of two runs over the tokens between them.
3. The last words of callgrind are understood; a run without them fails.
4. tests/instructions.json has a figure for every model and test.
"""
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
path = pathlib.Path(__file__).resolve().parent / "count_instructions"
loader = importlib.machinery.SourceFileLoader("count_instructions", str(path))
spec = importlib.util.spec_from_loader("count_instructions", loader)
counter = importlib.util.module_from_spec(spec)
loader.exec_module(counter)


class CountInstructionsTest(unittest.TestCase):
    def test_tolerates_five_percent(self):
        figures = {"a": 1000, "b": 1000}
        self.assertEqual(counter.compare({"a": 1049, "b": 951}, figures), [])
        self.assertEqual([o[0] for o in counter.compare({"a": 1051, "b": 1000}, figures)], ["a"])
        self.assertEqual([o[0] for o in counter.compare({"a": 1000, "b": 949}, figures)], ["b"])
        self.assertEqual([o[0] for o in counter.compare({"a": 1000}, figures)], ["b"])
        self.assertEqual([o[0] for o in counter.compare({"a": 1, "c": 5}, {"a": 1})], ["c"])

    def test_counts_tokens_only(self):
        loading, token = 123456, 500
        for test, (streams, low, high) in counter.TESTS.items():
            each = streams + 1 if streams > 1 else 1  # tokens of a step: one stream alone runs, too
            few, many = (loading + counter.RUNS * tokens * each * token for tokens in (low, high))
            self.assertEqual(counter.per_token(test, few, many), token)

    def test_reads_callgrind(self):
        self.assertEqual(counter.collected("==1== Events    : Ir\n==1== Collected : 4711\n"), 4711)
        with self.assertRaises(counter.Failed):
            counter.collected("valgrind: something else")

    def test_has_all_figures(self):
        figures = json.loads(counter.FIGURES.read_text())
        names = {f"{m} {r} {t}" for m, r in counter.MODELS.items() for t in counter.TESTS}
        self.assertEqual(set(figures["instructions_per_token"]), names)
        self.assertEqual(figures["isa"], counter.ISA)


if __name__ == "__main__":
    unittest.main()
