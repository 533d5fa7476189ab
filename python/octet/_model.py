"""A loaded model: text, log-likelihoods, logits."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

import numpy as np
import numpy.typing as npt

from octet import _octet
from octet._sampler import Sampler
from octet._session import Session, State
from octet._tokenizer import Tokenizer
from octet._types import Floats, Ids, Path, Tokens, as_ids
from octet._writer import Writer

Progress = Callable[[int, int], object]
"""Called with how much is done and how much there is; an exception ends the work."""


@dataclass(frozen=True)
class Score:
    """What a model makes of a continuation."""

    log_likelihood: float
    """log p(continuation | context), nats: the sum over its tokens."""
    is_greedy: bool
    """Whether each token is the most likely one."""
    tokens: int
    """Tokens of the continuation."""


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a text."""

    perplexity: float
    """exp(nll_per_token)"""
    nll_per_token: float
    """Mean negative log-likelihood, nats."""
    bits_per_byte: float
    """Negative log-likelihood in bits over the bytes of the scored tokens; 0 without a tokenizer."""
    tokens: int
    """Tokens that were scored."""
    windows: int


@dataclass(frozen=True, eq=False)
class Generation:
    """What a model wrote."""

    text: str
    tokens: Ids
    """Without the token that ends the text. With ``stop``, the last ones may be beyond ``text``."""
    finish_reason: Literal["length", "end", "stop"]
    """``max_tokens`` were written, the model ended the text, or it wrote a string of ``stop``."""


def load(path: Path, *, threads: int | None = None, chunk_size: int | None = None) -> Model:
    """Opens a model folder, float or quantized, or the ``.pth`` file of an S4D classifier.

    ``threads`` limits what each call uses; None: all that the process may use. ``chunk_size`` is
    the number of tokens per SSD chunk, if not that of the checkpoint. What config.json claims and
    the tensors contradict is a `UserWarning`.
    """
    if threads is None:
        threads = _octet.available_threads()
    if threads < 1:
        raise ValueError("threads must be at least 1")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError("chunk_size must be at least 1")
    native = _octet.Model.load(os.fsencode(path), chunk_size or 0)
    for message in native.warnings():
        warnings.warn(f"{os.fsdecode(path)}: {message}", stacklevel=2)
    return Model(native, os.fsdecode(path), threads)


class Model:
    """A model, immutable; any number of threads may use it. `load` opens one.

    Methods that take text also take token ids. All of them let other Python threads run while they
    compute, and give the same result for any number of threads.
    """

    def __init__(self, native: _octet.Model, path: str, threads: int) -> None:
        self._native = native
        self._tokenizer: Tokenizer | None = None
        self._prefix_token: int | None = None
        self.path = path
        self.threads = threads

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, padding included: the width of logits. Of an S4D, the classes."""
        return self._native.vocab_rows()

    @property
    def frame_width(self) -> int:
        """Floats per frame of a model of frames (S4D); 0 for a model that reads tokens."""
        return self._native.frame_width()

    @property
    def state_bytes(self) -> int:
        """What one stream remembers between tokens, in bytes."""
        return self._native.state_bytes()

    @property
    def config(self) -> dict[str, Any]:
        """config.json, with ``quantization_config`` where the model is quantized."""
        config: dict[str, Any] = json.loads(self._native.config_json())
        return config

    @property
    def eos_token_ids(self) -> list[int]:
        """Tokens that end a text; may be empty."""
        return self._native.eos()

    @property
    def prefix_token(self) -> int:
        """What stands before a text whose first token is scored too: bos, or else the end of a text.

        FileNotFoundError when nothing in the folder tells which token that is.
        """
        if self._prefix_token is None:
            self._prefix_token = self._native.prefix_token()
        return self._prefix_token

    @property
    def tokenizer(self) -> Tokenizer:
        """FileNotFoundError when the folder has no tokenizer.json."""
        if self._tokenizer is None:
            if self.frame_width:
                raise ValueError(f"{self.path}: the model reads frames of numbers, not text")
            self._tokenizer = Tokenizer(self._native.tokenizer())
        return self._tokenizer

    def session(self, *, state: State | None = None) -> Session:
        """A new stream, from its beginning or from a state."""
        return Session(self, state=state)

    def load_state(self, saved: bytes | os.PathLike[str] | str) -> State:
        """A state of this model from `State.to_bytes` (bytes) or `State.save` (a path).

        ValueError for what is damaged, cut off or of another model.
        """
        if isinstance(saved, bytes):
            return State(_octet.State.from_bytes(self._native, saved))
        return State(_octet.State.read(self._native, os.fsencode(saved)))

    def logits(self, tokens: Union[str, Tokens, npt.ArrayLike]) -> Floats:
        """Logits after each token of a text, or after each frame, [T, vocabulary]."""
        return self.session().feed_all(tokens)

    def generate(
        self,
        prompt: Union[str, Tokens],
        *,
        max_tokens: int = 128,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        state: State | None = None,
    ) -> Generation:
        """Goes on from a prompt, which is not repeated.

        Ends after ``max_tokens``, at a token of `eos_token_ids`, or once it has written a string of
        ``stop``, before which the text ends. `Sampler` explains the rest. ``state``: what was read before
        the prompt.
        """
        writer = self._writer(prompt, max_tokens, temperature, top_k, top_p, seed, stop, state)
        text = "".join(writer)
        return Generation(text, as_ids(writer.tokens), writer.finish_reason)

    def stream(
        self,
        prompt: Union[str, Tokens],
        *,
        max_tokens: int = 128,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        state: State | None = None,
    ) -> Iterator[str]:
        """The text of `generate` piece by piece, each as soon as it is known."""
        return iter(self._writer(prompt, max_tokens, temperature, top_k, top_p, seed, stop, state))

    def score(
        self,
        requests: Iterable[tuple[Union[str, Tokens], Union[str, Tokens]]],
        *,
        progress: Progress | None = None,
    ) -> list[Score]:
        """Log-likelihoods of continuations, from (context, continuation) pairs.

        Both parts of a pair are text, or both are ids, at least one each. Text is split as
        lm-evaluation-harness does it: spaces at the end of the context go to the continuation, both
        are tokenized together, and the context has as many tokens as it has alone; `prefix_token` stands
        for an empty context. The context of neighbours that have the same one runs once.
        """
        pairs = [self._pair(*request) for request in requests]
        scores = self._native.score(pairs, self.threads, progress)
        return [Score(ll, greedy, scored) for (ll, greedy), (_, scored) in zip(scores, pairs)]

    def perplexity(
        self,
        text: Union[str, Tokens],
        *,
        window: int = 2048,
        stride: int | None = None,
        max_tokens: int | None = None,
        progress: Progress | None = None,
    ) -> Perplexity:
        """Perplexity over windows of ``window`` tokens, each from an empty state.

        ``stride``: tokens from one window to the next, None: a window; a token is scored once.
        Tokens at the end that fill no window are not scored.
        """
        report = self._native.perplexity(
            self._ids(text), window, window if stride is None else stride, max_tokens or 0,
            self.threads, progress)
        return Perplexity(report.perplexity, report.nll_per_token, report.bits_per_byte,
                          report.tokens, report.windows)

    def __repr__(self) -> str:
        return f"<octet.Model {self.path!r}>"

    def _ids(self, text: Union[str, Tokens]) -> Ids:
        return self.tokenizer.encode(text) if isinstance(text, str) else as_ids(text)

    def _pair(
        self, context: Union[str, Tokens], continuation: Union[str, Tokens]
    ) -> tuple[Ids, int]:
        if isinstance(context, str) and isinstance(continuation, str):
            prefix = None if context else self.prefix_token
            return self._native.encode_pair(context.encode(), continuation.encode(), prefix)
        if isinstance(context, str) or isinstance(continuation, str):
            raise ValueError("context and continuation must both be text or both be tokens")
        both = np.concatenate([as_ids(context), as_ids(continuation)])
        return both, len(continuation)

    def _writer(
        self,
        prompt: Union[str, Tokens],
        max_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int,
        stop: Sequence[str],
        state: State | None,
    ) -> Writer:
        sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        stops = [stop] if isinstance(stop, str) else stop
        return Writer(self, self._ids(prompt), max_tokens, sampler, stops, state)
