"""Bytes → CSV records (RFC 4180) with the physical line of each, in bounded memory, whatever the bytes are.

The grammar: a record ends at a line break (LF or CR LF) outside quotes. A cell is quoted if it begins with a quote; its
closing quote must then stand before a comma or a line break. A quote that is never closed, or closed in the middle of
a cell, spoils its own physical line only: reading goes on with the next one. Empty lines are skipped.

Blocks in which every quote is regular are cut with NumPy; any other block record by record, which is the grammar
itself. A property test holds the two equal, wherever the blocks are cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kangma.errors import Code, Refused, Where
from kangma.intake.limits import Limits

BLOCK = 2 << 20  # bytes read at a time
_LF, _CR, _QUOTE, _COMMA = 10, 13, 34, 44
BOM = b"\xef\xbb\xbf"

# What senders mistake for a text file. Nothing packed is opened here: a bomb stays a small, refused file.
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PK\x05\x06": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"PAR1": "Parquet",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"%PDF": "PDF",
}
# One quoted cell. Possessive: what follows cannot make it look again, so the time is linear in the bytes.
_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')
_UNQUOTED = re.compile(rb"[^,\n]*+")


class Fault(Enum):
    """Why a record could not be cut into cells."""

    QUOTE = "quote"
    LONG = "long"
    CUT = "cut"  # in the middle of a character


@dataclass(frozen=True, slots=True)
class Record:
    """`cells` is None where `fault` says why; `raw` is None where the line is too long to give back."""

    line: int
    raw: bytes | None
    cells: list[bytes] | None
    fault: Fault | None = None
    last_cut: bool = False  # the input ends with it and without a line break


@dataclass(frozen=True, slots=True)
class Block:
    """Records without any irregular quote. `text[starts[i]:ends[i]]` is record i without its line break."""

    text: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lines: NDArray[np.int64]  # the physical line on which each starts
    cells: NDArray[np.int64]  # in each
    last_cut: bool  # of the last one

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, i: int) -> Record:
        text = self.text[int(self.starts[i]) : int(self.ends[i])]
        cells, _, _ = _cells(text, 0, True, len(text) + 1, len(text) + 1)
        return Record(int(self.lines[i]), text, cells, None, self.last_cut and i == len(self) - 1)


def read_blocks(source: BinaryIO, limits: Limits, size: int) -> Iterator[tuple[bytes, bool]]:
    """(bytes, whether they are the last), the last one possibly empty; a byte order mark is taken off.

    Raises Refused: too_many_bytes, unreadable for something that is no text file, not_utf8 for UTF-16.
    """
    taken = 0
    ahead = source.read(size)
    while 0 < len(ahead) < 8 and (more := source.read(8)):
        ahead += more
    for magic, what in _MAGIC.items():
        if ahead.startswith(magic):
            raise Refused(Code.UNREADABLE, hint=f"this is {what}; send the table itself, unpacked")
    if ahead.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused(Code.NOT_UTF8, Where(line=1), "this is UTF-16; save it as UTF-8")
    ahead = ahead.removeprefix(BOM)
    while True:
        taken += len(ahead)
        if taken > limits.file_bytes:
            raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {limits.file_bytes} bytes a file")
        block, ahead = ahead, source.read(size) if ahead else b""
        yield block, not ahead
        if not ahead:
            return


def check_utf8(text: bytes, line: int) -> None:
    """Raises Refused(not_utf8) with the physical line; `line` is the one on which `text` starts."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as fault:
        at = line + text.count(b"\n", 0, fault.start)
        raise Refused(Code.NOT_UTF8, Where(line=at), "save the file as UTF-8") from None


def torn_tail(text: bytes) -> int:
    """How many bytes at the end of an input are the beginning of a character whose rest was cut off: 0 to 3."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte >= 0xC0:
            return back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
        if byte < 0x80:
            return 0
    return 0


def csv_pieces(source: BinaryIO, limits: Limits, *, size: int = BLOCK) -> Iterator[Block | list[Record]]:
    """The records of a CSV file in order, the header among them. Raises Refused as `read_blocks`, and not_utf8."""
    pending, line, skipping = b"", 1, False
    for read, last in read_blocks(source, limits, size):
        block = read
        if skipping:  # the rest of a line that was too long
            end = block.find(b"\n")
            if end < 0:
                continue
            block, line, skipping = block[end + 1 :], line + 1, False
        text = pending + block if pending else block
        torn = torn_tail(text) if last else 0
        if torn:
            text = text[:-torn]
        else:
            regular, cut = _regular(text, last, line, limits)
            if regular is not None:
                check_utf8(text[:cut], line)
                if len(regular):
                    yield regular
                line += text.count(b"\n", 0, cut)
                text = text[cut:]
                if len(text) <= limits.line_bytes and not last:
                    pending = text
                    continue
        while True:
            records, done, following = _one_by_one(text, last, line, limits)
            check_utf8(text[:done], line)
            line, text = following, text[done:]
            if len(records) < limits.batch_rows:
                break
            yield records
        if torn:
            cut_line, raw = line, b""
            if records and records[-1].last_cut:
                cut_line, raw = records[-1].line, records.pop().raw or b""
            records.append(Record(cut_line, raw, None, Fault.CUT, True))
        if records:
            yield records
        pending = text
        if len(pending) > limits.line_bytes:
            yield [Record(line, None, None, Fault.LONG)]
            pending, skipping = b"", True


def _regular(text: bytes, last: bool, line: int, limits: Limits) -> tuple[Block | None, int]:
    """The records that are complete in `text` if all of them are regular, and how many bytes they take."""
    if b"\0" in text:
        return None, 0
    returns = b"\r" in text
    if returns and text.count(b"\r") != text.count(b"\r\n") + (last and text.endswith(b"\r")):
        return None, 0
    codes = np.frombuffer(text, np.uint8)
    breaks = np.flatnonzero(codes == _LF)
    commas = np.flatnonzero(codes == _COMMA)
    stops, cut = breaks, len(text)
    quotes = np.flatnonzero(codes == _QUOTE)
    if len(quotes):
        # A position is inside quotes if an odd number of quotes stands before it; doubled quotes count twice.
        stops = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
        commas = commas[np.searchsorted(quotes, commas) % 2 == 0]
    if not last:
        cut = int(stops[-1]) + 1 if len(stops) else 0
        quotes = quotes[quotes < cut]
    if len(quotes) % 2:
        return None, 0
    if len(quotes):
        before = np.where(quotes[::2] > 0, codes[quotes[::2] - 1], _LF)
        beyond = quotes[1::2] + 1
        after = np.where(beyond < len(codes), codes[np.minimum(beyond, len(codes) - 1)], _LF)
        opens = (before == _COMMA) | (before == _LF) | (before == _QUOTE)
        closes = (after == _COMMA) | (after == _LF) | (after == _CR) | (after == _QUOTE)
        if not (opens.all() and closes.all()):
            return None, 0
    starts = np.concatenate([np.zeros(1, np.int64), stops + 1])
    ends = np.append(stops, cut) if last else stops
    starts = starts[: len(ends)]
    if returns and len(ends):
        ends = ends - ((ends > starts) & (codes[np.maximum(ends - 1, 0)] == _CR))
    if len(ends) and int((ends - starts).max()) > limits.line_bytes:
        return None, 0
    filled = ends > starts
    last_cut = last and bool(filled[-1])
    starts, ends = starts[filled], ends[filled]
    lines = line + np.searchsorted(breaks, starts)
    cells = 1 + np.searchsorted(commas, ends) - np.searchsorted(commas, starts)
    return Block(text, starts, ends, lines, cells, last_cut), cut


def _one_by_one(text: bytes, last: bool, line: int, limits: Limits) -> tuple[list[Record], int, int]:
    """(records, bytes they take, line that follows), at most `batch_rows` records. Where fewer are returned, the rest
    of `text` cannot be told without what follows it."""
    records: list[Record] = []
    at = 0
    while at < len(text) and len(records) < limits.batch_rows:
        cells, end, fault = _cells(text, at, last, limits.line_bytes, limits.columns + 1)
        if end < 0 and len(text) - at <= limits.line_bytes:
            break
        if cells is None or end - at > limits.line_bytes:
            # The record ends with its first physical line: too long in itself, or spoilt by a quote that was never
            # meant to open a cell (a record of several short lines that is too long in all is one of these).
            end = text.find(b"\n", at)
            if end < 0 and not last:
                break
            end = len(text) if end < 0 else end
            cells, fault = None, Fault.LONG if end - at > limits.line_bytes else Fault.QUOTE
        raw = None if fault is Fault.LONG else text[at:end].removesuffix(b"\r")
        if raw is None or raw:
            records.append(Record(line, raw, cells, fault, raw is not None and end == len(text)))
        line += text.count(b"\n", at, end + 1)
        at = end + 1
    return records, min(at, len(text)), line


def _cells(
    text: bytes, start: int, last: bool, longest: int, most: int
) -> tuple[list[bytes] | None, int, Fault | None]:
    """(cells, end of the record, fault). End -1: more bytes are needed, or the record is longer than `longest`.

    At most `most` cells are kept: more than that is refused for their number anyway.
    """
    cells: list[bytes] = []
    at, limit = start, min(len(text), start + longest + 2)
    complete = last and limit == len(text)
    while True:
        if at > limit:
            return None, -1, None
        if at < limit and text[at] == _QUOTE:
            found = _QUOTED.match(text, at, limit)
            if found is None:
                return (None, -1, None) if limit == len(text) and not last else (None, start, Fault.QUOTE)
            end = found.end()
            if end == len(text) or (text[end] == _CR and end + 1 == len(text)):
                if not last:
                    return None, -1, None
                end = len(text)
            elif text[end] == _CR and text[end + 1] == _LF:
                end += 1
            elif text[end] not in (_COMMA, _LF):
                return None, start, Fault.QUOTE
            cell = text[at + 1 : found.end() - 1].replace(b'""', b'"')
        else:
            found = _UNQUOTED.match(text, at, limit)
            assert found is not None
            end = found.end()
            if end == limit and not complete and (end == len(text) or text[end] not in (_COMMA, _LF)):
                return None, -1, None
            cell = found.group()
            if end == len(text) or text[end] == _LF:
                cell = cell.removesuffix(b"\r")
        if len(cells) < most:
            cells.append(cell)
        if end >= len(text) or text[end] == _LF:
            return cells, min(end, len(text)), None
        at = end + 1


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that are not empty. `text[starts[i]:ends[i]]` is line `lines[i]` of the input without its line break."""

    text: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lines: NDArray[np.int64]
    last_cut: bool  # of the last one

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, i: int) -> bytes:
        return self.text[int(self.starts[i]) : int(self.ends[i])]


def line_pieces(source: BinaryIO, limits: Limits, *, size: int = BLOCK) -> Iterator[Lines | list[Record]]:
    """The lines of an NDJSON file in order; a list holds records with faults. Raises Refused as `csv_pieces`."""
    pending, line, skipping = b"", 1, False
    for read, last in read_blocks(source, limits, size):
        block = read
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            block, line, skipping = block[end + 1 :], line + 1, False
        text = pending + block if pending else block
        torn = torn_tail(text) if last else 0
        whole = len(text) if last and not torn else text.rfind(b"\n") + 1
        check_utf8(text[:whole], line)
        found, line = _lines(text[:whole], line)
        long = found.ends - found.starts > limits.line_bytes
        edges = np.flatnonzero(np.diff(long.astype(np.int8), prepend=2, append=2)).tolist()
        for start, end in pairwise(edges):
            part = slice(start, end)
            if long[start]:
                yield [Record(n, None, None, Fault.LONG) for n in found.lines[part].tolist()]
            else:
                cut = found.last_cut and end == len(found)
                yield Lines(found.text, found.starts[part], found.ends[part], found.lines[part], cut)
        pending = text[whole:]
        if torn and len(pending) <= limits.line_bytes:
            check_utf8(pending[:-torn], line)
            yield [Record(line, pending[:-torn], None, Fault.CUT, True)]
        elif len(pending) > limits.line_bytes:
            yield [Record(line, None, None, Fault.LONG)]
            pending, skipping = b"", True


def _lines(text: bytes, line: int) -> tuple[Lines, int]:
    codes = np.frombuffer(text, np.uint8)
    breaks = np.flatnonzero(codes == _LF)
    ends = breaks if text.endswith(b"\n") or not text else np.append(breaks, len(text))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])[: len(ends)]
    last_cut = len(ends) > len(breaks)
    lines = line + np.arange(len(ends))
    if len(ends):
        ends = ends - ((ends > starts) & (codes[np.maximum(ends - 1, 0)] == _CR))
    filled = ends > starts
    last_cut = last_cut and bool(filled[-1])
    return Lines(text, starts[filled], ends[filled], lines[filled], last_cut), line + len(breaks)
