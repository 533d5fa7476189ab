#!/usr/bin/env python3
"""Contracts of report_common.py, and of the scripts that start by it:

- distinct_names gives the shortest ends of paths that differ, as octet bench names models.
- a dot in OUTPUT is part of its name; its folder is made.
- a program that fails, is not there, dies by a signal or prints no JSON is exit status 2 without a
  traceback; what it said itself is not said again.
- every script gives its --help without numpy, and make_synthetic.py asks for numpy in one sentence.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import report_common as common  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# By its file, what makes each script run its octet at once.
SCRIPTS = {
    "bench/compare_llama_cpp.py": ["--smoke"],
    "bench/report_ssd.py": ["--model", "m"],
    "bench/report_stages.py": ["--models", "a,b"],
    "tools/report_auto.py": ["--calibration", "c", "--text", "t", "--output", "o"],
    "tools/report_context.py": ["--calibration", "c", "--text", "t", "--output", "o"],
    "tools/report_drift.py": ["--data", "d"],
    "tools/report_s4d.py": ["--mnist", "m", "--work", "w", "--output", "o"],
    "tools/report_ssd_scales.py": ["--calibration", "c", "--text", "t", "--output", "o"],
    "tools/show_streaming.py": ["s"],
}


class ReportCommonTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def program(self, text):
        """A shell script to run as octet."""
        file = self.scratch / "octet"
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(0o755)
        return file

    def start(self, script, *arguments):
        """Runs a script where there is no numpy."""
        (self.scratch / "numpy.py").write_text("raise ModuleNotFoundError('numpy', name='numpy')\n")
        return subprocess.run(
            [sys.executable, "-B", ROOT / script, *map(str, arguments)], capture_output=True,
            text=True, cwd=self.scratch, env={**os.environ, "PYTHONPATH": str(self.scratch),
                                              "HOME": str(self.scratch), "PIP_NO_INDEX": "1"})

    def test_distinct_names(self):
        for folders, names in (
                (["m"], ["m"]), (["/a/x/", "b/y"], ["x", "y"]), (["a/x", "./b//x"], ["a/x", "b/x"]),
                (["n/m2/bf16", "n/m/bf16", "n/m/i8"], ["m2/bf16", "m/bf16", "i8"]),
                (["x", "a/x", "/a/x"], ["x", "a/x", "a/x"]), (["a/x", "a/x/"], ["a/x", "a/x"])):
            self.assertEqual(common.distinct_names(folders), names, folders)

    def test_a_dot_is_part_of_the_name(self):
        for output in (self.scratch / "new" / "x-1.5", str(self.scratch / "new" / "x-2.5")):
            common.write_files(output, {"a": 1}, "text\n")
            self.assertEqual(json.loads(pathlib.Path(f"{output}.json").read_text()), {"a": 1})
            self.assertEqual(pathlib.Path(f"{output}.md").read_text(), "text\n")
        self.assertEqual(len(list((self.scratch / "new").iterdir())), 4)

    def test_octet(self):
        args = argparse.Namespace(octet=self.program('echo "[\\"$*\\"]"'), threads=3)
        self.assertEqual(common.octet(args, "bench", 7), ["bench 7 --json --threads 3"])
        del args.threads
        self.assertEqual(common.octet(args, "bench", 7), ["bench 7 --json"])
        args.nice = 1
        args.octet = self.program('nice')
        self.assertEqual(common.octet(args, "bench"), os.nice(0) + 1)
        for text, why in (("exit 2", "^$"), ("kill -SEGV $$", "died of signal 11"),
                          ("echo hello", "printed no JSON")):
            args = argparse.Namespace(octet=self.program(text), threads=1)
            with self.assertRaisesRegex(common.Failed, why):
                common.octet(args, "bench")
        with self.assertRaisesRegex(common.Failed, "octet bench: octet: no"):
            common.run(self.program("echo octet: no >&2; exit 2"), "bench", quiet=True)

    def test_scripts_fail_without_a_traceback(self):
        said = self.program("echo octet: no such thing >&2; exit 2")
        for script, arguments in SCRIPTS.items():
            for octet, sentence in ((said, "octet: no such thing"),
                                    (self.scratch / "none", "none: No such file or directory")):
                with self.subTest(script=script, octet=octet.name):
                    done = self.start(script, *arguments, "--octet", octet)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                    self.assertTrue(done.stderr.endswith(sentence + "\n"), done.stderr)

    def test_help_without_numpy(self):
        for script in (*SCRIPTS, "tools/make_synthetic.py", "tools/make_outlier_copy.py"):
            with self.subTest(script):
                done = self.start(script, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.start("tools/make_synthetic.py", "target")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^make_synthetic.py: needs numpy.*\n$")
        self.assertFalse((self.scratch / "target").exists())


if __name__ == "__main__":
    unittest.main()
