"""What a record is found by: the words in it, the values it is filtered by, and the card that lists show of it.

Chinese has no blanks between words, so a run of Han (or kana, hangul) is indexed as its pairs of neighbours: 健康宝
as 健康 and 康宝, and asked for as the phrase of the pairs of what was asked. Other words are words, without case.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any

from kangma.incidents.form import named, to_json
from kangma.incidents.levels import Seen
from kangma.incidents.record import Record
from kangma.incidents.words import Dated, Words

#: What records are filtered by, and counted by.
FACETS = (
    "year", "country", "sector", "organisation", "kind", "certainty", "confidentiality", "integrity", "availability",
    "motive", "technique", "actor", "victim",
)  # fmt: skip
MOST_WORDS = 20
MOST_KEPT = 3  # things that kept working, on a card
_HAN = "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"([{_HAN}]+)|([^\\W_]+)")


#: Accents, not the marks of kana, which make another sound.
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")


def _folded(text: str) -> str:
    """Without case, width and accents."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold()))


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """(is a run of Han, piece) in order; a word is cut where it meets Han."""
    for found in _RUNS.finditer(_folded(text)):
        if found[1]:
            yield True, found[1]
            continue
        for part in re.split(f"([{_HAN}]+)", found[2]):
            if part:
                yield bool(re.match(f"[{_HAN}]", part)), part


def tokens(text: str) -> str:
    """The text as the index takes it: tokens with blanks between."""
    made: list[str] = []
    for han, piece in _pieces(text):
        if han:
            made += (piece[i : i + 2] for i in range(len(piece)))  # the last one is a single character
        else:
            made.append(piece)
    return " ".join(made)


def asked(text: str) -> str:
    """What a person typed, as a query of FTS5: every piece must be there; "" for nothing to look for.

    Only letters and digits come through, each piece in quotes: nothing that was typed is an operator. A word finds
    words that begin with it; a single Han character finds every text with it.
    """
    made = []
    for han, piece in list(_pieces(text))[:MOST_WORDS]:
        if not han:
            made.append(f'"{piece[:60]}" *')
        elif len(piece) == 1:
            made.append(f'"{piece}" *')
        else:
            pairs = " ".join(piece[i : i + 2] for i in range(min(len(piece), 60) - 1))
            made.append(f'"{pairs}"')
    return " ".join(made)


def text_of(record: Record) -> str:
    """Every word of a record, of whichever language; pieces that do not follow each other have a line between."""
    parts = list(_texts(record))
    parts += [name for _, name in named(record)]
    return "\n".join(dict.fromkeys(parts))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, StrEnum):
        yield value.value.replace("-", " ")
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Words):
        yield from (text for _, text in value)
    elif isinstance(value, Dated):
        yield value.text
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value):
        for f in fields(value):
            if f.name not in ("level", "levels"):
                yield from _texts(getattr(value, f.name))


def facets(seen: Seen) -> dict[str, list[str]]:
    """Facet → the values of what this viewer sees. What is unknown is a value, what is hidden is none."""
    record = seen.record
    made: dict[str, list[str]] = {
        "certainty": [record.certainty.value],
        "kind": [kind.value for kind in record.kinds],
        "motive": [m.term.value for m in record.motives],
        "technique": [t.id for t in record.techniques],
        "actor": [a.type.value for a in record.actors],
    }
    for name in ("confidentiality", "integrity", "availability"):
        made[name] = [getattr(record, name).degree.value]
    if record.date:
        made["year"] = [
            str(y)
            for y in range(
                record.date.first.year, min(record.date.last.year, record.date.first.year + 20) + 1
            )
        ]
    if victim := record.victim:
        made |= {
            "country": [victim.country],
            "sector": [victim.sector.value],
            "organisation": [victim.organisation.value],
            "victim": [victim_key(victim.name or victim.names.best())],
        }
    if record.location and record.location.country != "unknown":
        made["country"] = [*made.get("country", []), record.location.country]
    return {
        name: list(dict.fromkeys(values))
        for name, values in made.items()
        if values and name not in seen.hidden
    }


def victim_key(name: str) -> str:
    """What one victim's records are gathered by: its name without case, accents and blanks at the ends; of a name that is
    nothing else the name itself."""
    return _folded(name).strip() or name.strip()


MOST_SEGMENT = 240  # bytes of a key that stands in an address as it is
_NO_SEGMENT = re.compile(r"[/\\%?#;~]")


def victim_segment(key: str) -> str:
    """How a victim is named in an address: by its key where that can be a segment of a path everywhere, else by `~` and
    the first 32 hexadecimal digits of the key's SHA-256. Never "" or dots, which browsers and proxies take out or follow;
    at most 720 bytes when quoted; the same for one key for ever, and for two keys never the same."""
    plain = (
        len(key.encode()) <= MOST_SEGMENT
        and key.isprintable()
        and not _NO_SEGMENT.search(key)
        and any(c.isalnum() for c in key)
    )
    return key if plain else f"~{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def card(seen: Seen, *, version: int, withdrawn: bool, published: int, modified: int) -> dict[str, Any]:
    """What a list shows of a record, and all that it needs to know."""
    value = to_json(seen.record)
    keys = (
        "id",
        "certainty",
        "kinds",
        "victim",
        "date",
        "location",
        "summary",
        "confidentiality",
        "integrity",
        "availability",
    )
    made: dict[str, Any] = {key: value[key] for key in keys if key in value}
    if "kept_working" in value:
        made["kept_working"] = value["kept_working"][:MOST_KEPT]
    made |= {"version": version, "published": published, "modified": modified}
    if withdrawn:
        made["withdrawn"] = True
    if seen.hidden:
        made["for_members"] = dict(seen.hidden)
    return made
