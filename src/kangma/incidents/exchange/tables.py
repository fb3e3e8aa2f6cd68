"""Records as rows: CSV that no spreadsheet takes for formulas. `parquet.py` has the same columns.

A field is a column, a text has one column a language (`_zh`, `_en`, the rest as JSON in `_more`), a list is JSON in its
cell. In CSV every cell is quoted (RFC 4180), and a cell that a spreadsheet could take for a formula, or that begins
with an apostrophe, gets one apostrophe in front, which reading takes off again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kangma.errors import Code, Refused
from kangma.incidents import canonical
from kangma.incidents.exchange.report import MOST_RECORDS, Entry, Taken, hidden_of
from kangma.incidents.form import from_json, to_json
from kangma.incidents.levels import Seen

#: Column → path in the record's JSON and what the cell holds: a text, words of one language, the other words, JSON.
_WORDS = ("victim.names", "victim.place", "location.place", "summary", "description")
_NOTES = ("confidentiality", "integrity", "availability")
_LISTS = ("motives", "techniques", "actors", "impact", "kept_working", "actions", "related", "sources")


def _columns() -> dict[str, tuple[str, str]]:
    made = {"id": ("id", "text"), "certainty": ("certainty", "text"), "kinds": ("kinds", "json")}
    made |= {f"victim_{n}": (f"victim.{n}", "text") for n in ("name", "organisation", "sector", "country")}
    made |= {"date": ("date", "text"), "location_country": ("location.country", "text")}
    for name in _NOTES:
        made[name] = (f"{name}.degree", "text")
    for path in (*_WORDS, *(f"{n}.note" for n in _NOTES)):
        for part in ("zh", "en", "more"):
            made[f"{path.replace('.', '_')}_{part}"] = (path, part)
    made |= {name: (name, "json") for name in (*_LISTS, "picture", "levels")}
    return made


COLUMNS = _columns()
ALONGSIDE = ("created", "modified", "version", "withdrawn", "member", "for_members")
NAMES = (*COLUMNS, *ALONGSIDE)


def row(entry: Entry) -> list[str]:
    value = to_json(entry.seen.record)
    cells = []
    for path, part in COLUMNS.values():
        found: Any = value
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if part in ("zh", "en"):
            found = (found or {}).get(part)
        elif part == "more":
            found = {k: v for k, v in (found or {}).items() if k not in ("zh", "en")} or None
        text = isinstance(found, str) and part != "json"
        cells.append("" if found is None else found if text else canonical.dumps(found).decode())
    hidden = canonical.dumps(dict(entry.seen.hidden)).decode() if entry.seen.hidden else ""
    flags = ("yes" if entry.withdrawn else "", "yes" if entry.seen.member else "")
    return [*cells, str(entry.created), str(entry.modified), str(entry.version), *flags, hidden]


def _entry(row: Mapping[str, str], taken: Taken, where: str) -> Entry:
    """Raises Refused for what is no record."""
    value: dict[str, Any] = {}
    for name, (path, part) in COLUMNS.items():
        cell = row.get(name, "")
        if not cell:
            continue
        *outer, last = path.split(".")
        inside = value
        for step in outer:
            inside = inside.setdefault(step, {})
        if part == "text":
            inside[last] = cell
        elif part == "json":
            inside[last] = _json(cell, name)
        elif part == "more":
            more = _json(cell, name)
            if not isinstance(more, dict):
                raise Refused(Code.BAD_VALUE, hint=f"{name}: an object of language tags and texts")
            inside.setdefault(last, {}).update(more)
        else:
            inside.setdefault(last, {})[part] = cell
    numbers = {}
    for name, least in (("created", 0), ("modified", 0), ("version", 1)):
        cell = row.get(name, "")
        sound = bool(re.fullmatch(r"\d{1,15}", cell, re.ASCII)) and int(cell) >= least
        if cell and not sound:
            taken.note(f"{where}.{name}", "not a number that can be meant")
        numbers[name] = int(cell) if sound else least
    hidden = hidden_of(_json(row["for_members"], "for_members")) if row.get("for_members") else {}
    seen = Seen(from_json(value), row.get("member") == "yes", hidden)
    return Entry(seen, **numbers, withdrawn=row.get("withdrawn") == "yes")


def _json(cell: str, column: str) -> Any:
    try:
        return canonical.loads(cell)
    except Refused as problem:
        raise Refused(problem.code, hint=f"{column}: JSON in a cell") from None


def rows_taken(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], taken: Taken) -> Taken:
    """Takes rows (where, cells) under a header."""
    if len(set(header)) != len(header):
        raise Refused(Code.DUPLICATE_COLUMN, hint="a column is there twice")
    if "id" not in header:
        raise Refused(Code.MISSING_COLUMN, hint="id")
    for name in header:
        if name not in NAMES:
            taken.note(f"column {name[:60]}", "not a column of ours: a mapping file can say what it means")
    for n, (where, cells) in enumerate(rows):
        if n >= MOST_RECORDS:
            raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_RECORDS}")
        try:
            if len(cells) != len(header):
                raise Refused(Code.WRONG_FIELD_COUNT)
            taken.take(where, _entry(dict(zip(header, cells, strict=True)), taken, where))
        except Refused as problem:
            taken.refuse(where, problem)
    return taken


# CSV

#: What a spreadsheet takes for the beginning of a formula, full-width forms among them, and our own mark.
_FORMULA = tuple("=+-@\t\r\n\0'＝＋－＠")


def safe(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def plain(cell: str) -> str:
    """What `safe` was given."""
    return cell[1:] if cell.startswith("'") else cell


def write_csv(entries: Iterable[Entry]) -> bytes:
    """UTF-8 with a byte order mark (spreadsheets take it for another encoding otherwise), CRLF, everything quoted."""
    lines = [_line(NAMES)]
    lines += [_line([safe(cell) for cell in row(entry)]) for entry in entries]
    return b"\xef\xbb\xbf" + "".join(lines).encode()


def _line(cells: Iterable[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"


def read_csv(content: bytes) -> Taken:
    """Our columns, in any order and not all of them; `id` must be there."""
    taken = Taken()
    lines = cells_of(canonical.text_of(content))
    first = next(lines, None)
    if first is None:
        raise Refused(Code.NO_HEADER)
    return rows_taken(first[1], ((w, [plain(c) for c in cells]) for w, cells in lines), taken)


_PLAIN = re.compile(r'[^",\r\n]*')


def cells_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """(where, cells) of each row of RFC 4180 text, whatever the length of a cell. A quote that is never closed ends
    with the file: Refused (cut_off)."""
    at, line, size = 0, 1, len(text)
    while at < size:
        started, cells = line, list[str]()
        while True:
            if at < size and text[at] == '"':
                parts, at = list[str](), at + 1
                while True:
                    end = text.find('"', at)
                    if end < 0:
                        raise Refused(Code.CUT_OFF, hint=f"line {started}: a quote that is never closed")
                    parts.append(text[at:end])
                    at = end + 1
                    if at < size and text[at] == '"':
                        parts.append('"')
                        at += 1
                    else:
                        break
                cell = "".join(parts)
                line += cell.count("\n")
            else:
                cell = ""
            found = _PLAIN.match(text, at)
            assert found is not None
            cells.append(cell + found[0])
            at = found.end()
            if at < size and text[at] == '"':  # a quote within an unquoted cell is a letter like any other
                cells[-1] += '"'
                at += 1
                rest = re.compile(r"[^,\r\n]*").match(text, at)
                assert rest is not None
                cells[-1] += rest[0]
                at = rest.end()
            if at < size and text[at] == ",":
                at += 1
                continue
            break
        if at < size and text[at] == "\r":
            at += 1
        if at < size and text[at] == "\n":
            at += 1
        line += 1
        if cells != [""]:
            yield f"line {started}", cells
