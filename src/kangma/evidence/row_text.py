"""The canonical text of a document, and the id derived from it: in Python, and the same in SQL.

What it is for, and byte by byte what it is: docs/formats/evidence.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kangma.intake.kinds import Column, Kind, Type


def row_text(kind: Kind, feed: str, row: Mapping[str, object]) -> str:
    """The canonical text of a document (docs/formats/evidence.md): kind, feed and stored columns as netstrings.

    `row` holds the stored columns as KINDS[kind].schema has them: persons as 16-byte keys, moments and days as numbers.
    """
    return (
        _netstring(kind.name)
        + _netstring(feed)
        + "".join(_netstring(_word(c, row.get(c.name))) for c in kind.stored)
    )


def derived_id(kind: Kind, feed: str, row: Mapping[str, object]) -> str:
    """The id by which a retraction names a document that came without one."""
    return "row-" + hashlib.sha256(row_text(kind, feed, row).encode()).hexdigest()[:32]


def _netstring(word: str | None) -> str:
    """Length in bytes, colon, text, comma; "-," for nothing."""
    return "-," if word is None else f"{len(word.encode())}:{word},"


def _word(column: Column, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.type is Type.REAL:
        return f"{value:.17g}"  # enough digits to tell any two apart
    return str(value)


def text_sql(kind: Kind) -> dict[str, str]:
    """The SQL twin of `row_text` over a row r of raw_<kind>: `text`, and the joins `keys` that it needs.

    Numbers of persons and places differ from one store to the next, so the text names them by their keys.
    """
    words, joins = [f"'{kind.name}'", "r.feed"], ""
    for column in kind.stored:
        name = f'r."{column.name}"'
        if column.type is Type.PERSON:
            key = f"key_of_{column.name}"
            joins += f"\nleft join person_keys as {key} on {key}.person = {name}"
            words.append(f"lower(hex({key}.key))")
        elif column.name == "place_id" and kind.name != "places":
            joins += "\nleft join place_numbers as key_of_place on key_of_place.place = r.place"
            words.append("key_of_place.place_id")
        elif column.type is Type.REAL:
            words.append(f"printf('%.17g', {name})")
        else:
            words.append(f"{name}::varchar")
    return {"text": " || ".join(f"netstring({word})" for word in words), "keys": joins}
