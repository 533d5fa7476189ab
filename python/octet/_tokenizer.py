"""Text and token ids."""

from __future__ import annotations

from octet import _octet
from octet._types import Ids, Tokens, as_ids


class Tokenizer:
    """The byte-level BPE of a model's ``tokenizer.json``; `Model.tokenizer` has it.

    Immutable; any number of threads may use it.
    """

    def __init__(self, native: _octet.Tokenizer) -> None:
        self._native = native

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return self._native.size()

    def encode(self, text: str) -> Ids:
        """Ids of a text, as ``tokenizers`` gives them without special tokens around."""
        return self._native.encode(text.encode())

    def decode(self, ids: Tokens, *, skip_special: bool = False) -> str:
        """The text of ids. Bytes that are not UTF-8 become U+FFFD.

        `StreamDecoder` does the same for ids that arrive one by one.
        """
        return self._native.decode(as_ids(ids), skip_special)

    def token_bytes(self, token: int) -> bytes:
        """What a token stands for, maybe a part of a character; empty for an id without a token."""
        return self._native.token_bytes(token)

    def is_special(self, token: int) -> bool:
        """Whether it is a special token, such as one that ends a text."""
        return self._native.is_special(token)

    def find(self, token: str | bytes) -> int | None:
        """The id of the token that stands for exactly this, or None."""
        return self._native.find(token.encode() if isinstance(token, str) else token)


class StreamDecoder:
    """Turns ids that arrive one by one into text, never giving a part of a character."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool = True) -> None:
        self._native = _octet.StreamDecoder(tokenizer._native, skip_special)

    def push(self, token: int) -> str:
        """The text that this token completes; may be empty."""
        return self._native.push(token)

    def flush(self) -> str:
        """What is left, with U+FFFD where it is not UTF-8."""
        return self._native.flush()
