"""Types that the package shares, and what turns arguments into arrays of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

Ids: TypeAlias = npt.NDArray[np.int32]
"""Token ids as Octet gives them."""
Floats: TypeAlias = npt.NDArray[np.float32]
Tokens: TypeAlias = Union[Sequence[int], npt.NDArray[np.integer[Any]]]
"""Token ids as Octet takes them: one dimension of integers."""
Path: TypeAlias = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def as_ids(tokens: Tokens) -> Ids:
    """The ids as the C++ part takes them; whether the model has them is asked there."""
    array = np.asarray(tokens)
    if array.ndim != 1:
        raise ValueError(f"tokens must have one dimension, not {array.ndim}")
    if array.size == 0:
        return np.empty(0, np.int32)
    if array.dtype.kind not in "iu":
        raise ValueError(f"tokens must be integers, not {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"{low if low < 0 else high} is no token id")
    return np.ascontiguousarray(array, np.int32)


def as_frames(frames: npt.ArrayLike, width: int) -> Floats:
    """Frames of a model of frames, [T, width]; [T] will do where the width is 1."""
    array = np.asarray(frames, np.float32)
    if array.ndim == 1 and width == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"frames must have the shape [T, {width}], not {list(array.shape)}")
    return np.ascontiguousarray(array)
