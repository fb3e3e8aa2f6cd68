"""Where things stand in a TOML file: the line and column of every table, key and character of a string.

`tomllib` gives values without places. This scan walks a text that `tomllib` has accepted and writes down the places;
it decides nothing about values.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

MAX_SYNTAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key (or table header) and its value begin, 1-based. `chars[i]` is the place of a string's character i."""

    line: int
    column: int
    value: tuple[int, int]
    chars: tuple[tuple[int, int], ...] = ()

    def of_char(self, i: int) -> tuple[int, int]:
        if not self.chars:
            return self.value
        if i < len(self.chars):
            return self.chars[i]
        line, column = self.chars[-1]
        return (line, column + 1)


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    line: int
    column: int
    message: str


@dataclass(frozen=True)
class Marked:
    """A TOML file's values with the places of all of them; `faults` are the lines that had to be left out."""

    values: dict[str, Any]
    places: dict[Path, Place] = field(repr=False)
    faults: tuple[SyntaxFault, ...] = ()

    def place(self, path: Path) -> Place:
        """The nearest place that is known: the key's, else its table's, else the file's beginning."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return Place(1, 1, (1, 1))


_AT = re.compile(r"\(at line (\d+), column (\d+)\)")


def read(text: str) -> Marked:
    """Values and places. A line that is not TOML is reported and left out, so that the rest can be checked too."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    faults: list[SyntaxFault] = []
    values: dict[str, Any] = {}
    while True:
        try:
            values = tomllib.loads("\n".join(lines))
            break
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as problem:
            found = _AT.search(str(problem))
            line, column = (int(found[1]), int(found[2])) if found else (len(lines), 1)
            if isinstance(problem, RecursionError):
                return Marked({}, {}, (*faults, SyntaxFault(1, 1, "nested too deep")))
            message = _AT.sub("", str(problem)).strip()
            # A fault noticed at a line's end or on an empty line belongs to the last line that says something.
            line = min(line, len(lines))
            while line > 1 and not lines[line - 1].strip():
                line -= 1
            column = min(column, len(lines[line - 1]) + 1)
            faults.append(SyntaxFault(line, column, message))
            if len(faults) >= MAX_SYNTAX_ERRORS or not lines[line - 1].strip():
                return Marked({}, {}, tuple(faults))
            lines[line - 1] = ""
    scan = _Scan("\n".join(lines))
    scan.document()
    return Marked(values, scan.places, tuple(sorted(faults, key=lambda f: (f.line, f.column))))


class _Scan:
    def __init__(self, text: str) -> None:
        self.text, self.i, self.n = text, 0, len(text)
        self.places: dict[Path, Place] = {}
        self.counts: dict[Path, int] = {}
        starts = [0]
        starts += [i + 1 for i, c in enumerate(text) if c == "\n"]
        self.starts = starts

    def where(self, i: int) -> tuple[int, int]:
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= i else (low, middle)
        return (low + 1, i - self.starts[low] + 1)

    def blank(self, newlines: bool = True) -> None:
        while self.i < self.n:
            char = self.text[self.i]
            if char in " \t" or (newlines and char == "\n"):
                self.i += 1
            elif newlines and char == "#":
                while self.i < self.n and self.text[self.i] != "\n":
                    self.i += 1
            else:
                return

    def document(self) -> None:
        table: Path = ()
        self.blank()
        while self.i < self.n:
            if self.text[self.i] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.blank()

    def header(self) -> Path:
        start = self.i
        many = self.text.startswith("[[", start)
        self.i += 2 if many else 1
        parts = self.dotted()
        self.blank(newlines=False)
        self.i += 2 if many else 1
        path: Path = ()
        place = Place(*self.where(start), self.where(start))
        for part in parts[:-1]:
            path = (*path, part)
            self.places.setdefault(path, place)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        path = (*path, parts[-1])
        self.places.setdefault(path, place)
        if many:
            self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, self.counts[path] - 1)
        self.places[path] = place
        return path

    def dotted(self) -> list[str]:
        parts = []
        while True:
            self.blank(newlines=False)
            if self.text[self.i] in "\"'":
                parts.append(self.string()[0])
            else:
                start = self.i
                while self.i < self.n and (self.text[self.i].isalnum() or self.text[self.i] in "_-"):
                    self.i += 1
                parts.append(self.text[start : self.i])
            self.blank(newlines=False)
            if self.text[self.i : self.i + 1] != ".":
                return parts
            self.i += 1

    def pair(self, table: Path) -> None:
        start = self.i
        parts = self.dotted()
        self.i += 1  # the equals sign
        self.blank(newlines=False)
        line, column = self.where(start)
        for i in range(1, len(parts)):
            self.places.setdefault((*table, *parts[:i]), Place(line, column, (line, column)))
        self.value((*table, *parts), line, column)

    def value(self, path: Path, line: int, column: int) -> None:
        start = self.i
        char = self.text[start]
        chars: tuple[tuple[int, int], ...] = ()
        self.places[path] = Place(line, column, self.where(start))
        if char in "\"'":
            chars = tuple(self.where(i) for i in self.string()[1])
            self.places[path] = Place(line, column, self.where(start), chars)
        elif char == "[":
            self.i += 1
            self.blank()
            index = 0
            while self.text[self.i] != "]":
                self.value((*path, index), *self.where(self.i))
                index += 1
                self.separator()
            self.i += 1
        elif char == "{":
            self.i += 1
            self.blank()
            while self.text[self.i] != "}":
                self.pair(path)
                self.separator()
            self.i += 1
        else:
            while self.i < self.n and self.text[self.i] not in ",]}#\n":
                self.i += 1

    def separator(self) -> None:
        self.blank()
        if self.text[self.i] == ",":
            self.i += 1
            self.blank()

    def string(self) -> tuple[str, list[int]]:
        """The decoded string at the cursor, and for each of its characters the offset in the file."""
        quote = self.text[self.i]
        long = self.text.startswith(quote * 3, self.i)
        close = quote * 3 if long else quote
        self.i += len(close)
        if long and self.text.startswith("\n", self.i):
            self.i += 1
        decoded: list[str] = []
        offsets: list[int] = []
        while not self.text.startswith(close, self.i):
            char = self.text[self.i]
            if char == "\\" and quote == '"':
                follows = self.text[self.i + 1]
                if follows in " \t\n":  # a line ending backslash swallows white space
                    self.i += 1
                    while self.text[self.i] in " \t\n":
                        self.i += 1
                    continue
                width = {"u": 6, "U": 10, "x": 4}.get(follows, 2)
                decoded.append("?" if width > 2 else follows)
                offsets.append(self.i)
                self.i += width
                continue
            decoded.append(char)
            offsets.append(self.i)
            self.i += 1
        if long:  # up to two quotes may stand before the closing three
            while self.text.startswith(quote, self.i + 3):
                decoded.append(quote)
                offsets.append(self.i)
                self.i += 1
        self.i += len(close)
        return "".join(decoded), offsets
