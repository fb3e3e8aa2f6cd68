"""Arrow columns of the outer form, made from arrays without a Python object per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.city.atlas import TIME_ZONE

MOMENT = pa.timestamp("ms", tz=TIME_ZONE)  # Parquet knows no seconds


def digits(numbers: NDArray[Any], width: int) -> NDArray[np.uint8]:
    """(n, width) ASCII decimal digits, zero-padded."""
    out = np.empty((len(numbers), width), dtype=np.uint8)
    rest = numbers.astype(np.int64)
    for i in range(width - 1, -1, -1):
        rest, out[:, i] = rest // 10, 48 + rest % 10
    return out


def fixed(rows: NDArray[np.uint8], none: NDArray[np.bool_] | None = None) -> pa.StringArray:
    """Strings of one width from (n, width) bytes; where `none` holds, null."""
    n, width = rows.shape
    offsets = np.arange(0, (n + 1) * width, max(width, 1), dtype=np.int32)[: n + 1]
    valid = None if none is None else pa.py_buffer(np.packbits(~none, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), data, valid)


def joined(rows: NDArray[np.uint8], width: NDArray[np.int64]) -> pa.StringArray:
    """Strings from (n, most) bytes of which row i uses the first width[i]."""
    offsets = np.concatenate([[0], np.cumsum(width)]).astype(np.int32)
    used = rows[np.arange(rows.shape[1]) < width[:, None]]
    return pa.StringArray.from_buffers(
        len(rows), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(used))
    )


def serials(prefix: str, numbers: NDArray[Any], width: int) -> pa.StringArray:
    """`prefix` and a zero-padded number, for identifiers."""
    letters = np.frombuffer(prefix.encode(), dtype=np.uint8)
    rows = np.empty((len(numbers), len(letters) + width), dtype=np.uint8)
    rows[:, : len(letters)] = letters
    rows[:, len(letters) :] = digits(numbers, width)
    return fixed(rows)


def chosen(index: NDArray[Any], choices: tuple[str, ...] | list[str]) -> pa.Array:
    """Text by index into a short list."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(list(choices))).cast(
        pa.string()
    )


def moments(seconds: NDArray[Any], zero: int, none: NDArray[np.bool_] | None = None) -> pa.Array:
    """Times from seconds since the first midnight `zero` (seconds since 1970)."""
    stamps = (seconds.astype(np.int64) + zero) * 1_000
    return pa.array(stamps, mask=none).cast(MOMENT)


def dates(days: NDArray[Any]) -> pa.Array:
    return pa.array(days.astype(np.int32)).cast(pa.date32())
