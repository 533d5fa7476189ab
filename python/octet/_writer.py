"""Writing on from a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from octet._sampler import Sampler
from octet._session import Session
from octet._tokenizer import StreamDecoder
from octet._types import Ids

if TYPE_CHECKING:
    from octet._session import State
    from octet._model import Model


class StopText:
    """Lets text through up to the string that is the first to be complete, however it is cut."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = list(stops)
        if not all(self._stops):
            raise ValueError("a stop string is empty")
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """What is now known to come before any stop string."""
        text = self._held + piece
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.found, self._held = True, ""
            return text[: min(found)[1]]
        # The longest end of the text that may still become a stop string.
        held = max(
            (size for stop in self._stops for size in range(1, len(stop))
             if text.endswith(stop[:size])),
            default=0,
        )
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back, once nothing follows."""
        held, self._held = self._held, ""
        return held


class Writer:
    """One continuation; iterating writes it and gives its text piece by piece."""

    def __init__(
        self,
        model: Model,
        prompt: Ids,
        max_tokens: int,
        sampler: Sampler,
        stops: Iterable[str],
        state: State | None,
    ) -> None:
        if len(prompt) == 0:
            raise ValueError("the prompt is empty")
        if max_tokens < 0:
            raise ValueError("max_tokens must not be negative")
        self._session = Session(model, state=state)
        self._prompt = prompt
        self._max_tokens = max_tokens
        self._sampler = sampler
        self._stop = StopText(stops)
        self._decoder = StreamDecoder(model.tokenizer)
        self._vocab = model.tokenizer.size
        self._ends = set(model.eos_token_ids)
        self.tokens: list[int] = []
        self.finish_reason: Literal["length", "end", "stop"] = "length"

    def __iter__(self) -> Iterator[str]:
        if self._max_tokens == 0:
            return
        logits = self._session.feed(self._prompt)
        while True:
            token = self._sampler.sample(logits, self._vocab)
            if token in self._ends:
                self.finish_reason = "end"
                break
            self.tokens.append(token)
            piece = self._stop.push(self._decoder.push(token))
            if piece:
                yield piece
            if self._stop.found:
                self.finish_reason = "stop"
                return
            if len(self.tokens) == self._max_tokens:
                break
            logits = self._session.feed([token])
        rest = self._stop.push(self._decoder.flush())
        if self._stop.found:
            self.finish_reason = "stop"
        else:
            rest += self._stop.flush()
        if rest:
            yield rest
