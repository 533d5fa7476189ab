"""Contracts of octet.Session and octet.State:

1. A fork, a restored snapshot, and a state from bytes or a file, also in another process, continue
   with the bits of never having stopped.
2. A state that is damaged or of another model is refused and the stream goes on as before.
3. Threads may share a session; what each feeds is read as a whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import MAMBA

import octet


def test_pieces_give_what_the_whole_gives(each_model: octet.Model, text: str) -> None:
    ids = each_model.tokenizer.encode(text)[:512]
    session = each_model.session()
    whole = session.feed_all(ids)
    assert session.position == 512
    pieces = each_model.session()
    # A multiple of the chunk of every model here, so that also codes are the same. One row at once and
    # many differ by the order of the sums of the head, 256 products that give numbers below 20.
    assert np.array_equal(pieces.feed_all(ids[:256]), whole[:256])
    assert pieces.feed(ids[256:]) == pytest.approx(whole[-1], abs=1e-4)
    assert pieces.state == session.state
    pieces.reset()
    assert pieces.position == 0
    assert pieces.feed(ids[:256]) == pytest.approx(whole[255], abs=1e-4)


def test_forks_and_snapshots(each_model: octet.Model) -> None:
    session = each_model.session()
    session.feed("It was a dark")
    state = session.state
    fork = session.fork()
    assert state.position == fork.position == session.position
    assert fork.state == state and state != "a state"
    want = session.feed(" night")
    assert session.state != state
    assert np.array_equal(fork.feed(" night"), want)
    other = each_model.session(state=state)
    assert np.array_equal(other.feed(" night"), want)
    session.restore(state)
    assert np.array_equal(session.feed(" night"), want)
    assert each_model.generate(" night", state=state, max_tokens=9, temperature=0).tokens.tolist() == \
        each_model.generate(" night", state=each_model.load_state(state.to_bytes()), max_tokens=9,
                            temperature=0).tokens.tolist()


def test_saved_states(folder: Path, each_model: octet.Model, tmp_path: Path) -> None:
    session = each_model.session()
    session.feed("It was a dark")
    state = session.state
    file = tmp_path / "state"
    state.save(file)
    want = session.feed(" night")
    assert each_model.load_state(state.to_bytes()) == state
    assert each_model.load_state(file) == each_model.load_state(str(file)) == state
    assert file.read_bytes() == state.to_bytes()
    # A new process has nothing but the files.
    code = ("import octet, sys; m = octet.load(sys.argv[1]); "
            "s = m.session(state=m.load_state(sys.argv[2])); "
            "sys.stdout.buffer.write(s.feed(' night').tobytes())")
    out = subprocess.run([sys.executable, "-c", code, str(folder), str(file)], check=True,
                         capture_output=True).stdout
    assert out == want.tobytes()
    assert os.listdir(tmp_path) == ["state"]


def test_states_that_are_none(model: octet.Model, quantized: Path, tmp_path: Path) -> None:
    session = model.session()
    session.feed("It was")
    saved = session.state.to_bytes()
    damaged = bytearray(saved)
    damaged[-9] ^= 4
    for bad, reason in ((bytes(damaged), "is damaged"), (saved[:-1], "cut off"), (b"", "is not a"),
                        (saved[:50], "cut off")):
        with pytest.raises(ValueError, match=f"^the bytes: .*{reason}"):
            model.load_state(bad)
    for other in (octet.load(MAMBA), octet.load(quantized)):
        with pytest.raises(ValueError, match="^the bytes: is a saved state of another model$"):
            other.load_state(saved)
        with pytest.raises(ValueError, match="^the state belongs to another model$"):
            session.restore(other.session().state)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model.load_state(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="the parent folder .* does not exist"):
        session.state.save(tmp_path / "no" / "folder")
    assert session.state.to_bytes() == saved


def test_an_error_changes_nothing(model: octet.Model) -> None:
    session = model.session()
    session.feed("It was")
    before = session.state
    for bad, reason in (([1, 4096], "token 4096 is outside"), ([], "no tokens"), ([-1], "-1 is no"),
                        ([[1]], "one dimension"), ([0.5], "integers"), ([True], "integers"),
                        ([1 << 40], "is no token id")):
        with pytest.raises(ValueError, match=reason):
            session.feed(bad)
        with pytest.raises(ValueError, match=reason):
            session.feed_all(bad)
    assert session.state == before


def test_threads_share_a_session(model: octet.Model) -> None:
    session = model.session()
    texts = [[i + 1] * 30 for i in range(6)]
    together = [threading.Thread(target=session.feed, args=(ids,)) for ids in texts]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert session.position == 180
    # Whatever the order was, each was read as a whole: the last is one of them, after the others.
    last = session.feed([7])
    assert np.isfinite(last).all()


def test_sessions_run_at_the_same_time(model: octet.Model, text: str) -> None:
    ids = model.tokenizer.encode(text)
    want = [model.logits(ids[i : i + 200]) for i in range(8)]
    got: list[octet.Floats | None] = [None] * 8

    def run(i: int) -> None:
        got[i] = model.logits(ids[i : i + 200])

    together = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    for i in range(8):
        assert np.array_equal(got[i], want[i])  # type: ignore[arg-type]
