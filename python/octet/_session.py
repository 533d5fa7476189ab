"""Streams of tokens and what they remember."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from octet import _octet
from octet._types import Floats, Path, Tokens, as_frames, as_ids

if TYPE_CHECKING:
    from octet._model import Model


class State:
    """What a stream remembers at one moment: of fixed size, however long its text. Immutable.

    `Session.state` takes one, `Session.restore` continues from it with the bits of never having
    stopped; `Model.load_state` reads a saved one.
    """

    def __init__(self, native: _octet.State) -> None:
        self._native = native

    @property
    def position(self) -> int:
        """Tokens that the stream has read."""
        return self._native.position()

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self._native.memory()

    def to_bytes(self) -> bytes:
        """The state as bytes, with a check sum and the name of its model."""
        return self._native.to_bytes()

    def save(self, path: Path) -> None:
        """Writes `to_bytes` to a file, which appears whole or not at all."""
        self._native.write(os.fsencode(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return self._native.equals(other._native)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<octet.State at token {self.position}, {self.nbytes} bytes>"


class Session:
    """One stream of tokens through a model. `Model.session` makes one.

    Feeding a text in one call or in several gives the same logits up to float rounding. Threads may
    share a session, but wait for each other; sessions of one model run at the same time.
    """

    def __init__(self, model: Model, *, state: State | None = None) -> None:
        self._model = model
        self._native = _octet.Session(model._native, model.threads)
        if state is not None:
            self.restore(state)

    @property
    def model(self) -> Model:
        """The model that the stream runs through."""
        return self._model

    @property
    def position(self) -> int:
        """Tokens read so far."""
        return self._native.position()

    def feed(self, tokens: Union[str, Tokens, npt.ArrayLike]) -> Floats:
        """Reads text, ids or, for a model of frames, frames [T, width]; at least one.

        Gives the logits after the last, [vocabulary]. An error leaves the stream as it was.
        """
        logits = np.empty(self._model.vocab_size, np.float32)
        if self._model.frame_width:
            self._native.feed_frames(self._frames(tokens), logits)
        else:
            self._native.feed(self._ids(tokens), logits)
        return logits

    def feed_all(self, tokens: Union[str, Tokens, npt.ArrayLike]) -> Floats:
        """As `feed`, giving the logits after each token, [T, vocabulary]."""
        if self._model.frame_width:
            frames = self._frames(tokens)
            logits = np.empty((len(frames), self._model.vocab_size), np.float32)
            self._native.feed_all_frames(frames, logits)
        else:
            ids = self._ids(tokens)
            logits = np.empty((len(ids), self._model.vocab_size), np.float32)
            self._native.feed_all(ids, logits)
        return logits

    @property
    def state(self) -> State:
        """A snapshot of everything that the stream remembers."""
        return State(self._native.state())

    def restore(self, state: State) -> None:
        """Continues from a snapshot of a session of the same model object, or from a loaded one."""
        self._native.restore(state._native)

    def fork(self) -> Session:
        """Another stream that has read the same."""
        return Session(self._model, state=self.state)

    def reset(self) -> None:
        """Back to before the first token."""
        self._native.reset()

    def _ids(self, tokens: Union[str, Tokens, npt.ArrayLike]) -> npt.NDArray[np.int32]:
        if isinstance(tokens, str):
            return self._model.tokenizer.encode(tokens)
        return as_ids(np.asarray(tokens))

    def _frames(self, tokens: Union[str, Tokens, npt.ArrayLike]) -> Floats:
        if isinstance(tokens, str):
            raise ValueError("the model reads frames of numbers, not text")
        return as_frames(tokens, self._model.frame_width)
