#!/usr/bin/env python3
"""Contracts of report_stages.py and report_ssd.py, with a program that prints made-up numbers:

- each model has its own heading and its own numbers, also where folders end alike; a folder that is
  named twice is refused.
- OUTPUT keeps what follows a dot, also for the plot.
- report_ssd.py shows what was measured, and claims nothing of the ratios.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
STAGES = '''#!{python}
import json, sys
folders = sys.argv[2:sys.argv.index("--prefill")]
spread = lambda v: {{"median": v, "min": v, "max": v}}
print(json.dumps({{
    "load_average": 1.0,
    "models": [{{"model": f}} for f in folders],
    "rows": [{{"model": f, "isa": "avx2", "kind": kind, "tokens_per_s": spread(speed + 100 * i),
              "stages": [{{"stage": "ssd", "us_per_token": 1.0, "share_of_roof": 0.5}}]}}
             for i, f in enumerate(folders) for kind, speed in (("prefill", 1000), ("decode", 10))],
    "roofs": [{{"isa": "avx2", "read_bytes_per_s": spread(4e10),
               "int8_operations_per_s": spread(3e11), "fp32_operations_per_s": spread(1e11)}}]}}))
if "--roofline" in sys.argv:
    open(sys.argv[sys.argv.index("--roofline") + 1], "w").close()
'''
SSD = '''#!{python}
import json
spread = lambda v: {{"median": v, "min": v, "max": v}}
print(json.dumps({{
    "isa": "avx2", "heads": 2, "head_dim": 64, "state_size": 128, "groups": 2, "chunk_size": 64,
    "ssd": [{{"tokens": 256, "stage": "StatePassing", "fp32_us": spread(25),
             "int8_us": spread(10), "ratio": spread(2.5)}}]}}))
'''


class ReportTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.output = self.scratch / "new" / "x-1.5"

    def start(self, script, program, *arguments):
        octet = self.scratch / "octet"
        octet.write_text(program)
        octet.chmod(0o755)
        return subprocess.run([sys.executable, "-B", HERE / script, "--octet", octet, "--output",
                               self.output, *arguments], capture_output=True, text=True)

    def stages(self, models):
        return self.start("report_stages.py", STAGES.format(python=sys.executable), "--models",
                          models, "--isas", "avx2")

    def test_each_model_has_its_own_rows(self):
        self.assertEqual(self.stages("a/x,b/x,y").returncode, 0)
        names = sorted(f.name for f in self.output.parent.iterdir())
        self.assertEqual(names, ["x-1.5.json", "x-1.5.md", "x-1.5.svg"])
        sections = (self.output.parent / "x-1.5.md").read_text().split("\n## ")[1:]
        found = [(s.partition(",")[0], s.rpartition("second** | ")[2].strip(" |\n"))
                 for s in sections]
        self.assertEqual(found, [("a/x", "1000"), ("a/x", "10"), ("b/x", "1100"), ("b/x", "110"),
                                 ("y", "1200"), ("y", "210")])
        document = json.loads((self.output.parent / "x-1.5.json").read_text())
        self.assertEqual([m["model"] for m in document["models"]], ["a/x", "b/x", "y"])
        self.assertEqual([r["model"] for r in document["rows"]],
                         ["a/x", "a/x", "b/x", "b/x", "y", "y"])

    def test_a_folder_named_twice_is_refused(self):
        done = self.stages("a/x,a/./x")
        self.assertEqual((done.returncode, done.stderr),
                         (2, "report_stages.py: --models names a folder twice\n"))

    def test_ssd(self):
        done = self.start("report_ssd.py", SSD.format(python=sys.executable), "--model", "m")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = (self.output.parent / "x-1.5.md").read_text()
        self.assertIn("| StatePassing | 25 | 10 | 2.50 |", text)
        self.assertIn("2 heads of 64, states of 128, 2 groups:", text)
        self.assertNotIn("less to gain", text)


if __name__ == "__main__":
    unittest.main()
