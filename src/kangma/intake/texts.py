"""Arrow string columns seen as bytes, so that NumPy can check a whole column at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def parts(array: pa.StringArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """(offsets (n+1,), bytes) of a string array without nulls; value i is `bytes[offsets[i]:offsets[i+1]]`."""
    _, starts, content = array.buffers()
    if starts is None or starts.size == 0:
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    offsets = np.frombuffer(starts, np.int32)[array.offset : array.offset + len(array) + 1]
    return offsets, np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)


def lengths(array: pa.StringArray) -> NDArray[np.int32]:
    """(n,) bytes in each value."""
    return np.diff(parts(array)[0])


def matrix(array: pa.StringArray, width: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(rows (k,), text (width, k)): the values that are exactly `width` bytes long, one character position a row."""
    offsets, content = parts(array)
    rows = np.flatnonzero(np.diff(offsets) == width)
    if len(rows) == len(array) and len(rows):
        text = content[offsets[0] : offsets[-1]].reshape(len(rows), width)
    else:
        text = content[offsets[rows][:, None] + np.arange(width, dtype=np.int32)]
    return rows, np.ascontiguousarray(text.T)
