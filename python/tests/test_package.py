"""Contracts of the package:

1. Bad input is a ValueError or an OSError with the one sentence of the library.
2. Python's other threads run and its signals are handled while the library computes.
3. The extension shows no symbol but its init function; the version is that of the library.
4. The types are complete and right: mypy --strict, also of the hook and of these tests.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import MAMBA2, ROOT

import octet
from octet import _octet


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        octet.load(tmp_path / "nowhere")
    assert str(missing.value) == f"{tmp_path}/nowhere: there is no such model"
    with pytest.raises(FileNotFoundError, match="config.json: No such file"):
        octet.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=f"^{tmp_path}/config.json: "):
        octet.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    shutil.copy(MAMBA2 / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match="gpt2"):
        octet.load(str(tmp_path).encode())
    with pytest.raises(FileNotFoundError, match=r"/\\xff: there is no such model"):
        octet.load(bytes(tmp_path) + b"/\xff")


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).symlink_to(MAMBA2 / file)
    model = octet.load(tmp_path)
    assert model.logits([1, 2]).shape == (2, 4096)
    assert model.perplexity([1, 2, 3], window=3).bits_per_byte == 0
    with pytest.raises(FileNotFoundError, match="there is no tokenizer.json"):
        model.generate("text")


def test_only_an_empty_context_needs_a_prefix_token(tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / file).symlink_to(MAMBA2 / file)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": []}')
    model = octet.load(tmp_path)
    pair = ("It was a dark", " night")
    assert model.score([pair]) == octet.load(MAMBA2).score([pair])
    with pytest.raises(FileNotFoundError, match="nothing tells which token ends a text"):
        model.score([("", "It was")])
    # Found once, it is not looked for again.
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    assert model.prefix_token == 0
    (tmp_path / "tokenizer_config.json").unlink()
    assert model.prefix_token == 0 and model.score([("", "It was")])


def test_doubtful_configs_warn(tmp_path: Path) -> None:
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / file).symlink_to(MAMBA2 / file)
    config = (MAMBA2 / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"hidden_size": 256', '"hidden_size": 4096'))
    with pytest.warns(UserWarning, match=f"^{tmp_path}: .*hidden size"):
        octet.load(tmp_path)


@pytest.mark.parametrize(
    "call, reason",
    [
        (lambda m: octet.load(MAMBA2, threads=0), "threads must be at least 1"),
        (lambda m: octet.load(MAMBA2, chunk_size=0), "chunk_size must be at least 1"),
        (lambda m: octet.load(MAMBA2, chunk_size=99999), "the chunk size must be between 1 and"),
        (lambda m: m.generate(""), "the prompt is empty"),
        (lambda m: m.generate("a", max_tokens=-1), "max_tokens must not be negative"),
        (lambda m: m.generate("a", temperature=-1), "temperature must be a number of at least 0"),
        (lambda m: m.generate("a", top_p=0), r"top-p must be in \(0, 1\]"),
        (lambda m: m.generate("a", top_k=-1), "top-k must be at least 0"),
        (lambda m: m.generate("a", seed=-1), "the seed must be between 0 and"),
        (lambda m: m.generate("a", stop=[""]), "a stop string is empty"),
        (lambda m: m.stream("a", stop=[""]), "a stop string is empty"),
        (lambda m: m.generate("\ud800"), "surrogates not allowed"),
        (lambda m: m.score([("a", " b"), ("a", "")]), "no token is left to the continuation"),
        (lambda m: m.score([([1], [4096])]), "request 0: token 4096 is outside the vocabulary"),
        (lambda m: m.score([([4096], [1])]), "request 0: token 4096 is outside the vocabulary"),
        (lambda m: m.score([([1], [2]), ([1], [])]), "request 1: the continuation has no tokens"),
        (lambda m: m.score([([], [1])]), "request 0: the context has no tokens"),
        (lambda m: m.score([([1], [2, 4096, 3])]), "request 0: token 4096 is outside the vocabulary"),
        (lambda m: m.score([("a", [1])]), "must both be text or both be tokens"),
        (lambda m: m.perplexity("a b c"), "the text: the text is shorter than a window"),
        (lambda m: m.perplexity("a b c", window=1), "a window needs at least 2 tokens"),
        (lambda m: m.perplexity("a b c", window=2, stride=0), "the stride must be between 1 and"),
        (lambda m: m.perplexity([1, 2, 5000], window=3), "token 5000 is outside the vocabulary"),
        (lambda m: m.tokenizer.decode(np.zeros((2, 2), int)), "must have one dimension, not 2"),
        (lambda m: octet.Sampler().sample([]), "there is no token to choose from"),
        (lambda m: octet.Sampler().sample([[1.0]]), "must have one dimension, not 2"),
    ],
)
def test_nonsense_is_a_value_error(
    model: octet.Model, call: Callable[[octet.Model], object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        call(model)


def test_logits_that_are_no_numbers() -> None:
    with pytest.raises(RuntimeError, match="logits that are not finite"):
        octet.Sampler().sample([0.0, float("nan")])


def test_what_the_system_refuses(model: octet.Model, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"^{tmp_path}: Is a directory"):
        model.session().state.save(tmp_path)
    assert os.listdir(tmp_path) == []


def test_tokenizer(model: octet.Model) -> None:
    tokenizer = model.tokenizer
    text = "It was—not a “dark” night. <|endoftext|>\n"
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32 and ids.flags.writeable
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special=True) == text.replace("<|endoftext|>", "")
    assert b"".join(tokenizer.token_bytes(int(i)) for i in ids) == text.encode()
    assert tokenizer.find("<|endoftext|>") == 0 == tokenizer.find(b"<|endoftext|>")
    assert tokenizer.find("no such token") is None
    assert tokenizer.is_special(0) and not tokenizer.is_special(5)
    assert tokenizer.size == 4096 and tokenizer.token_bytes(4096) == b""
    assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""
    decoder = octet.StreamDecoder(tokenizer, skip_special=False)
    assert "".join([decoder.push(int(i)) for i in ids] + [decoder.flush()]) == text
    assert octet.StreamDecoder(tokenizer).push(0) == ""


def test_sampler() -> None:
    logits = [0.0, 3.0, 1.0, 9.0]
    assert octet.Sampler(temperature=0).sample(logits) == 3
    assert octet.Sampler(temperature=0).sample(logits, 3) == 1
    assert octet.Sampler(temperature=5, top_k=1).sample(np.array(logits)) == 3
    draws = [octet.Sampler(temperature=5, seed=seed).sample(logits) for seed in range(50)]
    assert len(set(draws)) == 4
    assert draws == [octet.Sampler(temperature=5, seed=seed).sample(logits) for seed in range(50)]


def test_other_threads_run_meanwhile(model: octet.Model, text: str, tmp_path: Path) -> None:
    ids = model.tokenizer.encode(text)[:1000]
    saved = model.session().state.to_bytes()
    session = model.session()
    state = session.state

    def restore() -> None:
        for _ in range(20):
            session.restore(state)

    calls: dict[str, Callable[[], object]] = {
        "load": lambda: octet.load(MAMBA2),
        "feed": lambda: session.feed(ids),
        "feed_all": lambda: session.feed_all(ids),
        "state": lambda: [session.state for _ in range(20)],
        "restore": restore,
        "score": lambda: model.score([(ids[:1], ids[1:])]),
        "perplexity": lambda: model.perplexity(ids, window=500),
        "to_bytes": state.to_bytes,
        "from_bytes": lambda: model.load_state(saved),
        "save": lambda: state.save(tmp_path / "state"),
        "read": lambda: model.load_state(tmp_path / "state"),
        "encode": lambda: model.tokenizer.encode(text * 10),
    }
    count, done = 0, False

    def run() -> None:
        nonlocal count
        while not done:
            count += 1
            time.sleep(0)  # the only place where this thread lets go

    # With such an interval Python itself takes the GIL away from nobody: another thread can only count
    # between two looks at the counter where the call in between lets it.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    thread = threading.Thread(target=run)
    try:
        thread.start()
        for name, call in calls.items():
            for _ in range(1000):
                before = count
                call()
                if count != before:
                    break
            else:
                pytest.fail(f"no other thread ran during 1000 calls of {name}")
    finally:
        done = True
        sys.setswitchinterval(interval)
        thread.join()


def test_signals_are_handled_meanwhile(text: str) -> None:
    # The main thread handles them after windows that it runs itself; here it runs all of them.
    model = octet.load(MAMBA2, threads=1)
    ids = model.tokenizer.encode(text)[:1000]
    count, done = 0, False

    def handle(number: int, frame: object) -> None:
        nonlocal count
        count += 1

    def send() -> None:
        while not done:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.0001)

    previous = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=send)
    try:
        thread.start()
        for _ in range(50):
            # Before and after the call Python handles a few; between its 62 windows the library does.
            before = count
            model.perplexity(ids, window=16)
            if count >= before + 10:
                break
        else:
            pytest.fail("no signals were handled during 50 calls")
    finally:
        done = True
        thread.join()
        signal.signal(signal.SIGUSR1, previous)


def test_symbols() -> None:
    assert _octet.__file__
    out = subprocess.run(["nm", "-D", "--defined-only", _octet.__file__], check=True,
                         capture_output=True, text=True).stdout
    assert [line.split()[-1] for line in out.splitlines()] == ["PyInit__octet"]


def test_version() -> None:
    assert octet.__version__ == importlib.metadata.version("octet")
    assert f'"{octet.__version__}"' in (ROOT / "base" / "version.h").read_text()


def test_types(tmp_path: Path) -> None:
    configuration = str(ROOT / "python" / "pyproject.toml")
    hook = ROOT / "python" / "hook" / "_octet_lm_eval.py"
    tests = [str(file) for file in Path(__file__).parent.glob("*.py")]
    for what in (["-p", "octet"], [str(hook)], tests):
        out = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", configuration, "--cache-dir",
             str(tmp_path), *what],
            cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MYPYPATH": ""},
        )
        assert out.returncode == 0, out.stdout + out.stderr


def test_everything_public_is_documented() -> None:
    for name in octet.__all__:
        thing = getattr(octet, name)
        if not isinstance(thing, type):
            continue
        assert thing.__doc__, name
        for member, value in vars(thing).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"


def test_the_examples_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("models", "LICENSE"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    blocks = (ROOT / "python" / "README.md").read_text().split("```python\n")[1:]
    code = "\n".join(block.split("```")[0] for block in blocks)
    assert len(blocks) == 4
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True,
                         capture_output=True, text=True).stdout
    # Sums of float products differ between instruction sets, what they say here does not.
    assert " nats, 1 tokens, greedy: False\n" in out and " over 4088 tokens\n(5, 4096) float32\n" in out
