"""What a Parquet file claims about itself, read before anything is unpacked.

The footer and the page headers are Thrift structures (compact protocol). They are read here in plain Python because a
library's reader trusts them: it sets aside what a page header says it needs. Source: the Apache Parquet format,
parquet.thrift, and the Thrift compact protocol; field numbers below are those of parquet.thrift.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from kangma.errors import Code, Refused, Where
from kangma.intake.limits import Limits

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_DICTIONARY_PAGE, _DICTIONARY_CODED = 2, (2, 8)
_PREFIX_CODED = (
    7  # DELTA_BYTE_ARRAY: each value may repeat the one before it, so a page has no bound when unpacked
)
_HEADER_BYTES = 16_384  # read for one page header; its statistics may hold two values of 4 kB
_NEST = 16  # levels of structures; parquet.thrift needs 7

Struct = dict[int, Any]


class _Reader:
    """A cursor over bytes in compact protocol. Raises ValueError or IndexError for bytes that are none."""

    def __init__(self, text: bytes) -> None:
        self.text, self.at = text, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.text[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def number(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def struct(self, nest: int = _NEST) -> Struct:
        fields: Struct = {}
        last = 0
        while True:
            byte = self.text[self.at]
            self.at += 1
            if byte == 0:
                return fields
            last = last + (byte >> 4) if byte >> 4 else self.number()
            fields[last] = self._value(byte & 15, nest)

    def _value(self, kind: int, nest: int, *, in_list: bool = False) -> Any:
        if nest == 0:
            raise ValueError("too deep")
        match kind:
            case 1 | 2:
                if in_list:
                    self.at += 1
                    return self.text[self.at - 1] == _TRUE
                return kind == _TRUE
            case 3:
                self.at += 1
                return self.text[self.at - 1]
            case 4 | 5 | 6:
                return self.number()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self.varint())
            case 9 | 10:
                head = self.text[self.at]
                self.at += 1
                size = head >> 4 if head >> 4 < 15 else self.varint()
                if size > len(self.text) - self.at:
                    raise ValueError("a list longer than the file")
                return [self._value(head & 15, nest - 1, in_list=True) for _ in range(size)]
            case 12:
                return self.struct(nest - 1)
        raise ValueError("a type that Parquet does not use")

    def _bytes(self, size: int) -> bytes:
        if size > len(self.text) - self.at:
            raise ValueError("a text longer than the file")
        self.at += size
        return self.text[self.at - size : self.at]


@dataclass(frozen=True, slots=True)
class Claims:
    """`mostly_plain`: columns whose values mostly stand in full, so that a dictionary would have to be made for them.
    `repeating`: columns with a dictionary somewhere, whose values a page can repeat."""

    names: tuple[str, ...]
    rows: int
    groups: int
    mostly_plain: frozenset[str]
    repeating: frozenset[str]


def claims(source: BinaryIO, limits: Limits) -> Claims:
    """The columns and rows of a Parquet file, once every size in it is within the limits and adds up.

    Raises Refused: too_many_bytes, unreadable, inflates_too_much, too_many_columns, too_many_rows, bad_value for a
    nested column.
    """
    size = source.seek(0, io.SEEK_END)
    if size > limits.file_bytes:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {limits.file_bytes} bytes a file")
    footer = _footer(source, size, limits)
    try:
        elements, rows, groups = footer[2], footer[3], footer[4]
        names = [element[4].decode() for element in elements[1:]]
        nested = [name for name, element in zip(names, elements[1:], strict=True) if element.get(5)]
        chunks = [(chunk[3], group[3]) for group in groups for chunk in group[1]]
        counted = sum(group[3] for group in groups)
        sound = all(type(n) is int and n >= 0 for n in (rows, counted, elements[0][5]))
        sound &= all(len(group[1]) == len(names) for group in groups) and elements[0][5] == len(names) - len(
            nested
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise Refused(Code.UNREADABLE, hint="the Parquet footer cannot be read") from None
    if len(names) > limits.columns:
        raise Refused(Code.TOO_MANY_COLUMNS, hint=f"at most {limits.columns} columns")
    if nested:
        raise Refused(Code.BAD_VALUE, hint="a column of lists or structures; a table has plain cells")
    if max(rows, counted) > limits.rows:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {limits.rows} rows a file; send it in parts")
    if not sound or rows != counted:
        raise Refused(Code.UNREADABLE, hint="the Parquet footer contradicts itself")
    return Claims(tuple(names), rows, len(groups), *_pages(source, size, names, chunks, limits))


def _footer(source: BinaryIO, size: int, limits: Limits) -> Struct:
    source.seek(0)
    if size < 12 or source.read(4) != b"PAR1":
        raise Refused(Code.UNREADABLE, hint="this is no Parquet file")
    source.seek(size - 8)
    tail = source.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > size - 12:
        raise Refused(Code.UNREADABLE, hint="this is no Parquet file, or its end is cut off")
    if length > limits.footer_bytes:
        raise Refused(Code.INFLATES_TOO_MUCH, hint=f"a footer of at most {limits.footer_bytes} bytes")
    source.seek(size - 8 - length)
    try:
        return _Reader(source.read(length)).struct()
    except (ValueError, IndexError):
        raise Refused(Code.UNREADABLE, hint="the Parquet footer cannot be read") from None


def _pages(
    source: BinaryIO, size: int, names: list[str], chunks: list[tuple[Struct, int]], limits: Limits
) -> tuple[frozenset[str], frozenset[str]]:
    """`mostly_plain` and `repeating`, after a walk over every page header."""
    too_much = Refused(
        Code.INFLATES_TOO_MUCH, hint=f"at most {limits.inflated_ratio} times the size of the file"
    )
    unpacked = pages = 0
    back, repeating = set[str](), set[str]()
    plain, coded = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for at, (meta, group_rows) in enumerate(chunks):
        name = names[at % len(names)]
        try:
            start = min(o for o in (meta[9], meta.get(11)) if o)
            end = start + meta[7]
            if not 4 <= start <= end <= size or meta[3] != [name.encode()] or meta[5] != group_rows:
                raise ValueError
            chunk = values = 0
            plain_before = False
            while start < end:
                source.seek(start)
                reader = _Reader(source.read(min(_HEADER_BYTES, end - start)))
                header = reader.struct()
                kind, inflated, packed = header[1], header[2], header[3]
                if min(inflated, packed) < 0 or packed > end - start:
                    raise ValueError
                if inflated > limits.inflated_page:
                    raise too_much
                chunk += inflated
                pages += 1
                start += reader.at + packed
                if kind != _DICTIONARY_PAGE and (data := header.get(5) or header.get(8)):
                    count, coding = data[1], data[2] if 5 in header else data[4]
                    if count < 0:
                        raise ValueError
                    values += count
                    (coded if coding in _DICTIONARY_CODED else plain)[name] += count
                    # Pages that go back to the dictionary after plain ones are no writer's way: left to the
                    # reader's dictionary, which bounds them too.
                    back |= {name} if coding in _DICTIONARY_CODED and plain_before else set()
                    plain_before |= coding not in _DICTIONARY_CODED
                    if coding == _PREFIX_CODED:
                        hint = "write texts as plain or dictionary pages, not as delta byte arrays"
                        raise Refused(Code.UNREADABLE, Where(column=name), hint)
                if kind == _DICTIONARY_PAGE:
                    repeating.add(name)
                if chunk > limits.inflated_chunk or pages > limits.pages:
                    raise too_much
            if start != end or values != group_rows:
                raise ValueError
        except (ValueError, IndexError, KeyError, TypeError):
            raise Refused(
                Code.UNREADABLE, Where(column=name), "a page contradicts the Parquet footer"
            ) from None
        unpacked += chunk
        if unpacked > min(limits.inflated_bytes, limits.inflated_ratio * size):
            raise too_much
    return frozenset(name for name in names if plain[name] > coded[name]) - back, frozenset(repeating)
