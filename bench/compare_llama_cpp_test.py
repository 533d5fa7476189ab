#!/usr/bin/env python3
"""Contracts of compare_llama_cpp.py's pure parts, with numpy only; nothing is installed or built:

- every tensor of a synthetic folder has the name and shape under which llama.cpp asks for it.
- A is -exp(A_log); nothing else changes value; a tensor without a place in GGUF is refused.
- the header has the keys that llama.cpp's loader demands.
- ratios are taken within rounds; a round without its partner is left out.
- each run happens once per round; a program that dies by a signal is a row, not an exception.
- what both programs print is read by test; the report shows cells, ratios and failures.
- g++ before 13 gets the work-around of AMX, others do not.
- what --models, --kinds and the numbers cannot be is said before anything is fetched.
- what was interrupted half done is not taken for done: packages, sources, model files.
"""
import argparse
import contextlib
import io
import json
import pathlib
import sys
import tarfile
import tempfile
import unittest
import unittest.mock

import numpy as np

import compare_llama_cpp as compare
import comparison
import gguf_mamba
import llama_cpp_peer as peers
import llama_cpp_report as report

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import make_synthetic as synthetic  # noqa: E402

# As llama.cpp creates them (src/models/mamba.cpp, mamba2.cpp), axes in numpy's order; I inner size.
D, I, N, R, H, G = 64, 128, 16, 4, 8, 2
BLOCK = {
    "mamba": {
        "attn_norm.weight": (D,), "ssm_in.weight": (2 * I, D), "ssm_conv1d.weight": (I, 4),
        "ssm_conv1d.bias": (I,), "ssm_x.weight": (R + 2 * N, I), "ssm_dt.weight": (I, R),
        "ssm_dt.bias": (I,), "ssm_a": (I, N), "ssm_d": (I,), "ssm_out.weight": (D, I)},
    "mamba2": {
        "attn_norm.weight": (D,), "ssm_in.weight": (2 * I + 2 * G * N + H, D),
        "ssm_conv1d.weight": (I + 2 * G * N, 4), "ssm_conv1d.bias": (I + 2 * G * N,),
        "ssm_dt.bias": (H,), "ssm_a": (H, 1), "ssm_d": (H, 1), "ssm_norm.weight": (G, I // G),
        "ssm_out.weight": (D, I)},
}


def model(family):
    """(config, {name: values}) of a small synthetic model, without files."""
    options = ["x", "--family", family, "--d-model", str(D), "--layers", "2", "--vocab", "32",
               "--state", str(N), "--head-dim", "16", "--groups", str(G)]
    rng = np.random.default_rng(1)
    tensors = {name: make(rng, shape)
               for name, shape, make in synthetic.shapes(synthetic.arguments(options))}
    config = {"model_type": family, "hidden_size": D, "expand": 2, "num_hidden_layers": 2,
              "conv_kernel": 4, "state_size": N, "time_step_rank": R, "layer_norm_epsilon": 1e-5,
              "head_dim": 16, "n_groups": G}
    return config, tensors


class GgufTest(unittest.TestCase):
    def test_names_and_shapes(self):
        for family, block in BLOCK.items():
            config, tensors = model(family)
            wanted = {"token_embd.weight": (32, D), "output_norm.weight": (D,)} | {
                f"blk.{i}.{part}": shape for i in range(2) for part, shape in block.items()}
            found = dict(gguf_mamba.convert(n, v, config) for n, v in tensors.items())
            self.assertEqual({n: v.shape for n, v in found.items()}, wanted)
            self.assertTrue(all(v.dtype == np.float32 for v in found.values()))

    def test_values(self):
        for family in BLOCK:
            config, tensors = model(family)
            for name, values in tensors.items():
                _, new = gguf_mamba.convert(name, values, config)
                if name.endswith("A_log"):
                    values = -np.exp(values)
                np.testing.assert_array_equal(new.ravel(), values.ravel(), name)

    def test_refuses_what_has_no_place(self):
        for family, name in (("mamba", "backbone.layers.0.mixer.dt_bias"),
                             ("mamba2", "backbone.layers.0.mixer.x_proj.weight"),
                             ("mamba2", "backbone.layers.0.mixer.in_proj.bias")):
            with self.assertRaisesRegex(ValueError, name):
                gguf_mamba.tensor_name(name, family)

    def test_metadata(self):
        one = gguf_mamba.metadata(model("mamba")[0], 32)
        two = gguf_mamba.metadata(model("mamba2")[0], 32)
        self.assertEqual(one["mamba.ssm.time_step_rank"], R)
        self.assertEqual(two["mamba2.ssm.time_step_rank"], H)
        self.assertEqual((one["mamba.ssm.inner_size"], two["mamba2.ssm.inner_size"]), (I, I))
        self.assertEqual(two["mamba2.ssm.group_count"], G)
        self.assertEqual(one["mamba.vocab_size"], 32)
        self.assertIs(one["mamba.ssm.dt_b_c_rms"], False)


class StatisticsTest(unittest.TestCase):
    def test_ratios_are_within_rounds(self):
        # The machine slows by 10 in round 1. The ratio of the medians would be 15 / 10.
        ours, theirs = {0: 20.0, 1: 1.5, 2: 15.0}, {0: 10.0, 1: 0.5, 2: 10.0}
        self.assertEqual(comparison.ratios(ours, theirs),
                         {"median": 2.0, "min": 1.5, "max": 3.0, "n": 3})
        self.assertEqual(comparison.ratios(ours, {2: 5.0, 7: 1.0})["n"], 1)
        self.assertIsNone(comparison.ratios(ours, {7: 1.0}))

    def test_rounds_run_everything_once_in_another_order(self):
        calls = []
        runs = [((k,), lambda k=k: calls.append(k) or k) for k in range(20)]
        found = comparison.rounds(3, runs, lambda text: None)
        self.assertEqual(found, [{(k,): k for k in range(20)}] * 3)
        orders = [calls[i:i + 20] for i in (0, 20, 40)]
        self.assertEqual([sorted(o) for o in orders], [list(range(20))] * 3)
        self.assertEqual(len({tuple(o) for o in orders}), 3)

    def test_measure(self):
        good = comparison.measure(["echo", '{"pp8": 3}'], 1, json.loads)
        self.assertEqual(good["tests"], {"pp8": 3})
        self.assertGreater(good["peak_rss_bytes"], 0)
        killed = comparison.measure(["sh", "-c", "kill -SEGV $$"], 1, json.loads)
        self.assertEqual(killed, {"failed": "signal 11"})
        self.assertEqual(comparison.measure(["false"], 1, json.loads), {"failed": "exit status 1"})


class ReportTest(unittest.TestCase):
    def test_outputs_are_read(self):
        self.assertEqual(peers.parse_speed('[{"n_prompt": 512, "n_gen": 0, "avg_ts": 3.5},'
                                           ' {"n_prompt": 0, "n_gen": 64, "avg_ts": 2}]'),
                         {"pp512": 3.5, "tg64": 2})
        self.assertEqual(peers.parse_batch('loading\n{"tg": 64, "pl": 8, "speed_tg": 9.5}\n\n'),
                         {"tg64 b8": 9.5})
        rows = [{"test": t, "tokens_per_s": {"median": v, "min": 1, "max": 9}}
                for t, v in (("pp512", 7), ("tg64", 8), ("tg64 b8", 9))]
        printed = json.dumps({"rows": rows})
        self.assertEqual(compare.parse_octet(printed), {"pp512": 7, "tg64": 8, "tg64 b8": 9})
        self.assertEqual(compare.parse_octet_batch(printed), {"tg64 b8": 9})

    def test_report(self):
        def run(**tests):
            return {"tests": tests, "cpu_share": 1.0, "peak_rss_bytes": 5_000_000}

        results = [{("m", "octet", "w8", 1, "pp8"): run(pp8=30.0 * f, tg4=8.0 * f),
                    ("m", "llama.cpp", "Q8_0", 1, "pp8"): run(pp8=10.0 * f, tg4=4.0 * f),
                    ("m", "llama.cpp", "Q4_0", 1, "pp8"): run(pp8=9.0 * f),
                    ("m", "llama.cpp", "Q8_0", 1, "batches"): {"failed": "signal 11"}}
                   for f in (1.0, 0.1)]
        rows = report.rows_of(results)
        cells = [{"model": "m", "engine": engine, "format": label, "kind": kind, "bytes": 7_000_000}
                 for engine, label, kind in (("octet", "w8", "w8"), ("llama.cpp", "Q8_0", "w8"),
                                             ("llama.cpp", "Q4_0", "w4"))]
        ratios = report.ratio_rows(rows, cells)
        self.assertEqual([(r["octet"], r["llama_cpp"], r["test"], r["ratio"]["n"]) for r in ratios],
                         [("w8", "Q8_0", "pp8", 2), ("w8", "Q8_0", "tg4", 2)])
        self.assertAlmostEqual(ratios[0]["ratio"]["median"], 3.0)
        text = report.markdown({
            "environment": dict.fromkeys(("cpu", "cpus", "nice", "date", "octet",
                                          "octet_isa", "octet_compiler", "llama_cpp",
                                          "llama_cpp_isa", "llama_cpp_compiler"), "-"),
            "load_average": comparison.spread([1.0]), "rounds": 2, "cells": cells, "rows": rows,
            "ratios": ratios,
            "same_likelihood": {"m": {"tokens": 3, "octet_nll": 1.0, "llama_cpp_nll": 1.0}}})
        self.assertIn("| program | format | weights MB | peak MB | pp8, 1T | tg4, 1T |", text)
        self.assertIn("| octet | w8 | 7.0 | 5 | 16.5 (3.0 to 30.0) | 4.4 (0.8 to 8.0) |", text)
        self.assertIn("| w8 | Q8_0 | 3.00 (3.00 to 3.00) | 2.00 (2.00 to 2.00) |", text)
        self.assertEqual(text.count("m: llama.cpp Q8_0, batches, 1 threads: signal 11"), 1)

    def test_order_of_columns(self):
        tests = ["tg64 b32", "tg64", "pp2048", "tg64 b8", "pp512"]
        self.assertEqual(sorted(tests, key=report.test_order),
                         ["pp512", "pp2048", "tg64", "tg64 b8", "tg64 b32"])


class ArgumentsTest(unittest.TestCase):
    def test_refused_before_work(self):
        for arguments, why in (
                (["--models", "mamba2-130m,mamba"], "--models: mamba is none of mamba-130m, mamba2-"),
                (["--models", ""], "--models: needs at least one"),
                (["--kinds", "w8,w3"], "--kinds: w3 is none of bf16, f32, w4, w8"),
                (["--kinds", ","], "--kinds: needs at least one"),
                (["--threads", "1,0"], "--threads: 0 is less than 1"),
                (["--threads", ""], "--threads: needs at least one"),
                (["--prompts", "-5"], "--prompts: -5 is less than 1"),
                (["--prompts", ""], "--prompts: needs at least one"),
                (["--decode", "0"], "--decode: 0 is less than 1"),
                (["--rounds", "0"], "--rounds: 0 is less than 1"),
                (["--jobs", "0"], "--jobs: 0 is less than 1"),
                (["--batches", "8,0"], "--batches: 0 is less than 1"),
                (["--calibration", "nothere"], "--calibration: there is no file nothere")):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as stopped:
                compare.arguments(arguments)
            self.assertEqual(stopped.exception.code, 2, arguments)
            self.assertIn(why, said.getvalue())

    def test_accepted(self):
        self.assertEqual(compare.arguments(["--batches", ""]).batches, [])
        self.assertEqual(compare.arguments(["--smoke"]).models, ["mamba2-130m"])


class PeerTest(unittest.TestCase):
    def test_work_around(self):
        for line, wanted in (("c++ (Debian 12.2.0-14+deb12u1) 12.2.0", True),
                             ("g++ (Ubuntu 13.2.0-4ubuntu3) 13.2.0", False),
                             ("Debian clang version 14.0.6", False), ("", False)):
            self.assertEqual(peers.loses_tile_configuration(line), wanted, line)

    def test_one_run_for_each_prompt_length_and_for_batches(self):
        class Models:
            name = "m"

            def octet_cells(self):
                return [("fp32", "f32", pathlib.Path(__file__).parent, [])]

            def peer_cells(self):
                return [("F32", "f32", pathlib.Path(__file__))]

        a = argparse.Namespace(prompts=[512, 2048], decode=64, threads=[1, 2], batches=[8],
                               kinds=["f32"], octet="octet", nice=0, isa=None)
        runs, cells = compare.runs_of(a, peers.Peer(pathlib.Path("x")), Models())
        keys = [key for key, _ in runs]
        self.assertEqual(len(keys), len(set(keys)))
        self.assertEqual([k[4] for k in keys if k[1:4] == ("octet", "fp32", 2)],
                         ["pp512", "pp2048", "batches"])
        self.assertEqual([k[4] for k in keys if k[1:4] == ("llama.cpp", "F32", 2)],
                         ["pp512", "pp2048", "batches"])
        self.assertEqual([c["engine"] for c in cells], ["octet", "llama.cpp"])

    def test_build_for_one_instruction_set(self):
        peer = peers.Peer(pathlib.Path("x"), isa="avxvnni")
        commands = []
        peer.run = lambda *command: commands.append(command)
        peer.configure()
        self.assertEqual(peer.build.name, "build-avxvnni")
        self.assertIn("-DGGML_NATIVE=OFF", commands[0])
        self.assertIn("-DGGML_AVX_VNNI=ON", commands[0])
        self.assertNotIn("-DGGML_AVX512=ON", commands[0])


class Interrupted(BaseException):
    pass


class InterruptedTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.work = (pathlib.Path(scratch.name) / "new").resolve()
        self.peer = peers.Peer(self.work)
        self.peer.configure = lambda: None
        self.interruptions = 1

    def write(self, file):
        file = pathlib.Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half")
        if self.interruptions:
            self.interruptions -= 1
            raise Interrupted
        file.write_text("whole")

    def again_and_again(self, step):
        """Calls step() until it is not interrupted; {file: text} of what is then there."""
        while True:
            with contextlib.suppress(Interrupted):
                step()
                break
        return {str(f.relative_to(self.work)): f.read_text() for f in self.work.rglob("*")
                if f.is_file() and f.suffix != ".gz"}

    def test_packages_and_sources(self):
        self.peer.run = lambda *command: None
        name = self.peer.sources.name

        def pip(command, *arguments):
            if command == "install":
                self.write(arguments[arguments.index("--target") + 1] / "gguf" / "a.py")
                self.interruptions = 1  # the next step
            else:
                tarfile.open(self.work / f"{name}.tar.gz", "w:gz").close()

        def extractall(archive, path, **_):
            self.write(path / name / "vendor" / "llama.cpp" / "a")

        with unittest.mock.patch.object(peers, "pip", pip), \
                unittest.mock.patch.object(tarfile.TarFile, "extractall", extractall):
            found = self.again_and_again(self.peer.install)
        self.assertEqual(found, {"python/gguf/a.py": "whole",
                                 f"peer/{name}/vendor/llama.cpp/a": "whole"})

    def test_model_files(self):
        # gguf_mamba.py FOLDER OUTPUT, llama-quantize F32 OUTPUT KIND JOBS
        self.peer.run = lambda *command: self.write(command[3 if len(command) == 4 else 2])
        for name in ("F32.gguf", "Q8_0.gguf"):
            self.interruptions = 1
            found = self.again_and_again(lambda: self.peer.write_gguf(
                self.work, self.work / name, name.removesuffix(".gguf")))
        self.assertEqual(found, {"F32.gguf": "whole", "Q8_0.gguf": "whole"})


if __name__ == "__main__":
    unittest.main()
