"""Choosing the next token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from octet import _octet


class Sampler:
    """Draws tokens from logits, the same for the same seed; ties go to the smaller id.

    ``temperature`` 0 takes the most likely token. Otherwise ``top_k`` keeps the k most likely (0: all), then
    ``top_p`` the smallest set of them whose probability reaches p.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= seed < 1 << 64:
            raise ValueError("the seed must be between 0 and 2**64 - 1")
        self._native = _octet.Sampler.create(temperature, top_k, top_p, seed)

    def sample(self, logits: npt.ArrayLike, vocab: int | None = None) -> int:
        """A token among the first ``vocab`` entries of logits [vocabulary]; None: among all.

        Entries from `Tokenizer.size` on are padding, which a model may have and never writes.
        """
        row = np.ascontiguousarray(logits, np.float32)
        if row.ndim != 1:
            raise ValueError(f"logits to sample from must have one dimension, not {row.ndim}")
        return self._native.sample(row, row.size if vocab is None else vocab)
