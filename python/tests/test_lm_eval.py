"""Contracts of octet.lm_eval:

1. Through the harness's own command, with `octet` among its models, every request of the tasks in
   tasks/ gets the answer of HFLM in fp32: golden/hflm.json, and HFLM itself where there is PyTorch.
2. In a program, answers are those of `Model.score` on the same text, and of no other length limit than
   max_length; a quantized model is a model like any other.
3. The hook changes nothing in other programs, nor in a harness that it does not know.
4. What cannot be answered is refused in one sentence.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import MAMBA2, ROOT
from harness import FOLDER, MODELS, TASKS, run_harness

import octet

pytest.importorskip("lm_eval", reason='needs pip install "./python[lm_eval]"')
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the harness

BIN = Path(sys.executable).parent
COMMANDS = {
    "books-mamba2-5m": [str(BIN / "lm_eval")],
    "books-mamba-5m": [sys.executable, "-m", "lm_eval"],
}


def check(got: dict[str, Any], want: dict[str, Any], tasks: list[str]) -> None:
    """Sums of up to 120 terms, which HFLM makes in fp32 from logits with other rounding."""
    for task in tasks:
        answers, goldens = got[task]["responses"], want[task]["responses"]
        assert len(answers) == len(goldens)
        for document, (answer, golden) in enumerate(zip(answers, goldens)):
            for choice, ((a,), (b,)) in enumerate(zip(answer, golden, strict=True)):
                where = f"{task}, document {document}, request {choice}"
                if task == "octet_write":
                    assert a == b, where
                    continue
                a, b = ([x] if isinstance(x, str) else x for x in (a, b))
                assert float(a[0]) == pytest.approx(float(b[0]), abs=1e-4), where
                assert a[1:] == b[1:], where
        assert got[task]["results"] == pytest.approx(want[task]["results"], rel=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_answers_are_those_of_hflm(name: str) -> None:
    goldens = json.loads((Path(__file__).parent / "golden" / "hflm.json").read_text())
    arguments = f"--model=octet --model_args=path={MODELS[name]},max_length=64,threads=2".split()
    got = run_harness(COMMANDS[name], arguments, TASKS)
    assert len(goldens[name]) == len(TASKS)
    check(got, goldens[name], TASKS)


@pytest.mark.skipif(not (find_spec("torch") and find_spec("transformers")),
                    reason="needs PyTorch and transformers, see make_hflm_goldens.py")
def test_answers_are_those_of_hflm_here() -> None:
    tasks = ["octet_choice", "octet_last_word"]
    want = run_harness([str(BIN / "lm_eval")],
                       f"--model=hf --model_args=pretrained={MAMBA2},dtype=float32 "
                       "--device=cpu --batch_size=1".split(), tasks)
    got = run_harness([str(BIN / "lm_eval")],
                      f"--model=octet --model_args=path={MAMBA2}".split(), tasks)
    check(got, want, tasks)


def instances(kind: str, *arguments: Any) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, a, i) for i, a in enumerate(arguments)]


def test_in_a_program(quantized: Path, text: str) -> None:
    from octet.lm_eval import OctetLM

    lm = OctetLM.create_from_arg_string(f"path={quantized},max_length=300", {"batch_size": 8})
    pairs = [("It was a dark", " night"), ("It was a dark ", "night"), ("", "It was"),
             ("It was a dark\n\n", "night and the"), (text[:200], text[200:230])]
    scores = lm.model.score(pairs)
    answers = lm.loglikelihood(instances("loglikelihood", *pairs), disable_tqdm=True)
    assert answers == [(s.log_likelihood, s.is_greedy) for s in scores]
    # A longer context loses its beginning: the model sees 300 tokens and predicts one more.
    ids = lm.model.tokenizer.encode(text)
    want = lm.model.score([(ids[100:391], ids[391:401])])[0].log_likelihood
    requests = [(("", ""), ids[:391].tolist(), ids[391:401].tolist())]
    assert lm._loglikelihood_tokens(requests, disable_tqdm=True)[0][0] == want
    # Windows of a long text: each token once, after one token that the window before ended with.
    ids = lm.model.tokenizer.encode(text[:1700])
    assert 600 < len(ids) < 900
    windows = [([0], ids[:300]), (ids[299:300], ids[300:600])]
    rest = len(ids) - 600
    windows.append((ids[len(ids) - 301 : 600], ids[600:]) if rest < 300 else ([], []))
    assert windows[-1], "the text has three windows"
    want = sum(s.log_likelihood for s in lm.model.score(windows))
    (total,) = lm.loglikelihood_rolling(instances("loglikelihood_rolling", (text[:1700],)), True)
    assert total == pytest.approx(want, rel=1e-12)


def test_generation_options() -> None:
    from octet.lm_eval import OctetLM

    lm = OctetLM(str(MAMBA2))
    prompt = "It was a dark night"
    arguments = [{"until": ["zebra"], "max_gen_toks": 20}, {"until": ",", "max_gen_toks": 20},
                 {"until": [], "max_gen_toks": 20, "do_sample": True, "temperature": 1.5, "top_k": 9,
                  "seed": 4}]
    got = lm.generate_until(instances("generate_until", *[(prompt, a) for a in arguments]), True)
    generate = lm.model.generate
    assert got == [
        generate(prompt, max_tokens=20, temperature=0).text,
        generate(prompt, max_tokens=20, temperature=0, stop=",").text,
        generate(prompt, max_tokens=20, temperature=1.5, top_k=9, seed=4).text,
    ]
    assert got[0] != got[1]


def test_what_cannot_be_answered(tmp_path: Path) -> None:
    from octet.lm_eval import OctetLM

    lm = OctetLM(str(MAMBA2), max_length=8)
    with pytest.raises(ValueError, match="10 tokens leaves no context within max_length=8"):
        lm._loglikelihood_tokens([(("", ""), [1], [2] * 10)])
    with pytest.raises(ValueError, match="max_gen_toks=256 leaves no context within max_length=8"):
        lm.generate_until(instances("generate_until", ("a", {"until": []})), True)
    with pytest.raises(FileNotFoundError, match="there is no such model"):
        OctetLM(str(tmp_path / "nowhere"))
    for file in ("config.json", "model.safetensors", "generation_config.json"):
        (tmp_path / file).write_bytes(
            (MAMBA2 / file).read_bytes().replace(b'"eos_token_id": 0', b'"eos_token_id": null'))
    with pytest.raises(ValueError, match="needs a token that ends a text"):
        OctetLM(str(tmp_path))


def test_the_hook_costs_other_programs_nothing() -> None:
    code = "import sys, json; print([m for m in sys.modules if 'lm_eval' in m or m == 'octet'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['_octet_lm_eval']"


def test_the_registry_finds_it_by_name() -> None:
    code = "from lm_eval.api.registry import get_model; print(get_model('octet').__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "octet.lm_eval"


def test_the_hook_leaves_an_unknown_harness_alone(tmp_path: Path) -> None:
    (tmp_path / "lm_eval" / "models").mkdir(parents=True)
    (tmp_path / "lm_eval" / "__init__.py").write_text("")
    (tmp_path / "lm_eval" / "models" / "__init__.py").write_text("there = True")
    code = "import lm_eval.models; print(lm_eval.models.there)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout.strip() == "True"
    assert "octet is not registered as a model of lm_eval: No module named 'lm_eval.api'" in done.stderr


def test_the_loader_of_the_hook_can_be_copied() -> None:
    import lm_eval.models

    assert lm_eval.models.__spec__ and (loader := lm_eval.models.__spec__.loader)
    for copied in (copy.copy(loader), pickle.loads(pickle.dumps(loader))):
        assert copied is not loader and copied.path == lm_eval.models.__file__
