"""Hostile imports get the documented answer; nothing of them is executed, and their neighbours are taken in.

The answers stand in docs/formats/incident.md, "What comes in".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import ABOUT, Maker

from kangma.errors import Code, Refused
from kangma.incidents import canonical
from kangma.incidents.exchange import json as json_form
from kangma.incidents.exchange import parquet, stix, tables, veris
from kangma.incidents.exchange.report import Entry, Taken
from kangma.incidents.form import from_json
from kangma.incidents.levels import seen_by

GOOD = {"id": "good", "summary": {"en": "A neighbour"}, "date": "2022"}


def collection(*records: object) -> bytes:
    return json.dumps(
        {"format": "kangma-incidents/1", "incidents": [{"record": r} for r in records]}
    ).encode()


def rows(*cells: dict[str, str]) -> bytes:
    names = sorted({name for c in cells for name in c})
    return "".join(
        tables._line(line) for line in [names, *([c.get(n, "") for n in names] for c in cells)]
    ).encode()


BAD_RECORDS: dict[str, tuple[dict[str, object], Code]] = {
    "a description of 100 MB": ({"id": "bad", "description": {"en": "x" * 10**8}}, Code.VALUE_TOO_LONG),
    "a half surrogate": ({"id": "bad", "summary": {"en": "\ud83e"}}, Code.BAD_VALUE),
    "text that turns around": ({"id": "bad", "summary": {"en": "a\u202eb"}}, Code.BAD_VALUE),
    "an escape to the terminal": ({"id": "bad", "summary": {"en": "\x1b[2J"}}, Code.BAD_VALUE),
    "a date of the future": ({"id": "bad", "date": "9999-12-31"}, Code.BAD_DATE),
    "a day that is none": ({"id": "bad", "date": "2022-02-30"}, Code.BAD_DATE),
    "a range that runs backwards": ({"id": "bad", "date": "2022-05/2022-04"}, Code.ENDS_BEFORE_START),
    "a script as source": ({"id": "bad", "sources": [{"url": "javascript:alert(1)"}]}, Code.BAD_VALUE),
    "a file as source": ({"id": "bad", "sources": [{"url": "file:///etc/passwd"}]}, Code.BAD_VALUE),
    "a path as id": ({"id": "../../etc/passwd"}, Code.BAD_VALUE),
    "a field that is none": ({"id": "bad", "__class__": "x"}, Code.UNKNOWN_COLUMN),
    "a million items": ({"id": "bad", "motives": [{}] * 10**6}, Code.TOO_MANY_ROWS),
    "itself as relation": ({"id": "bad", "related": [{"id": "bad"}]}, Code.BAD_VALUE),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_one_bad_record_is_refused_and_its_neighbours_are_taken(name: str) -> None:
    record, code = BAD_RECORDS[name]
    taken = json_form.read(collection(GOOD, record, {**GOOD, "id": "good-too"}))
    assert [e.seen.record.id for e in taken.entries] == ["good", "good-too"]
    ((where, faults),) = [(r.where, r.faults) for r in taken.refused]
    assert where == "incidents[1]"
    assert code in {f.code for f in faults}


@pytest.mark.parametrize(
    "payload",
    [
        "=1+1",
        "@SUM(A1)",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "{{7*7}}",
        "${7*7}",
        "%s%n",
        "{0.__class__}",
        "'; DROP TABLE records; --",
        "]]>",
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    ],
)
def test_what_looks_like_code_is_text_and_stays_text(payload: str) -> None:
    record = {
        "id": "a",
        "victim": {"name": payload},
        "summary": {"en": payload, "zh": payload},
        "description": {"en": payload},
    }
    (entry,) = json_form.read(collection(record)).entries
    assert entry.seen.record.summary.get("en") == payload
    for write, read in (
        (lambda e: stix.write(e, ABOUT), stix.read),
        (tables.write_csv, tables.read_csv),
        (parquet.write, parquet.read),
    ):
        assert read(write([entry])).entries[0].seen.record == entry.seen.record


def test_circles_of_related_records_are_kept_as_they_are() -> None:
    a = {**GOOD, "id": "a", "related": [{"id": "b"}]}
    b = {**GOOD, "id": "b", "related": [{"id": "c"}, {"id": "a"}]}
    c = {**GOOD, "id": "c", "related": [{"id": "a"}, {"id": "nowhere"}]}
    taken = json_form.read(collection(a, b, c))
    assert len(taken.entries) == 3
    assert len(stix.read(stix.write(taken.entries, ABOUT)).entries) == 3


def test_the_second_of_two_with_one_id_is_refused() -> None:
    taken = json_form.read(collection(GOOD, {**GOOD, "summary": {"en": "Another"}}))
    assert [e.seen.record.summary.get("en") for e in taken.entries] == ["A neighbour"]
    assert [f.code for f in taken.refused[0].faults] == [Code.DUPLICATE_ID]
    entries = [*taken.entries, *taken.entries]
    assert len(tables.read_csv(tables.write_csv(entries)).refused) == 1


WHOLE: dict[str, tuple[Callable[[bytes], Taken], bytes, Code]] = {
    "JSON that is none": (json_form.read, b"{", Code.UNREADABLE),
    "JSON in GB 18030": (
        json_form.read,
        json.dumps({"id": "a", "summary": {"zh": "中"}}, ensure_ascii=False).encode("gb18030"),
        Code.NOT_UTF8,
    ),
    "JSON in UTF-16": (json_form.read, collection(GOOD).decode().encode("utf-16"), Code.NOT_UTF8),
    "deep JSON": (json_form.read, b"[" * 200_000, Code.TOO_DEEP),
    "a number": (json_form.read, b"7", Code.UNREADABLE),
    "a bundle that is none": (stix.read, b'{"type":"incident"}', Code.UNREADABLE),
    "VERIS that is none": (veris.read, b'[{"incident_id":"a"}]', Code.UNREADABLE),
    "an empty CSV": (tables.read_csv, b"", Code.NO_HEADER),
    "a CSV without id": (tables.read_csv, b'"summary_en"\r\n"x"\r\n', Code.MISSING_COLUMN),
    "a CSV with a column twice": (tables.read_csv, b'"id","id"\r\n"a","b"\r\n', Code.DUPLICATE_COLUMN),
    "a quote that is never closed": (tables.read_csv, b'"id"\r\n"a', Code.CUT_OFF),
    "a CSV in Latin-1": (tables.read_csv, '"id"\r\n"é"\r\n'.encode("latin-1"), Code.NOT_UTF8),
    "Parquet that is none": (parquet.read, b"PAR1 no PAR1", Code.UNREADABLE),
    "XML": (stix.read, b"<?xml version='1.0'?><a/>", Code.UNREADABLE),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_none_is_refused_whole(name: str) -> None:
    read, content, code = WHOLE[name]
    with pytest.raises(Refused) as caught:
        read(content)
    assert caught.value.code is code


def test_a_bad_row_of_a_table_is_refused_and_its_neighbours_are_taken() -> None:
    taken = tables.read_csv(
        rows(
            {"id": "good", "date": "2022"},
            {"id": "bad", "date": "yesterday"},
            {"id": "bad-too", "motives": "[{"},
            {"id": "good-too"},
        )
        + b'"only one cell"\r\n'
    )
    assert [e.seen.record.id for e in taken.entries] == ["good", "good-too"]
    assert [(r.where, r.faults[0].code) for r in taken.refused] == [
        ("line 3", Code.BAD_DATE),
        ("line 4", Code.UNREADABLE),
        ("line 6", Code.WRONG_FIELD_COUNT),
    ]


def test_a_column_of_somebody_else_is_reported() -> None:
    taken = tables.read_csv(rows({"id": "a", "colour": "red"}))
    assert [(n.where, n.what) for n in taken.notes] == [
        ("column colour", "not a column of ours: a mapping file can say what it means")
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4),
    max_leaves=12,
)
STIX_OBJECTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["incident", "identity", "location", "relationship", "attack-pattern", "threat-actor",
                              "course-of-action"]),
     "id": st.sampled_from([f"x--{i}" for i in range(4)])},
    optional=dict.fromkeys(("name", "description", "sectors", "country", "extensions", "external_references", "labels",
                            "created", "threat_actor_types"), JSON_VALUES)
    | {k: st.sampled_from([f"x--{i}" for i in range(4)]) | JSON_VALUES for k in ("source_ref", "target_ref")},
)  # fmt: skip


@given(st.lists(STIX_OBJECTS, max_size=6))
@settings(deadline=None, max_examples=100)
def test_any_bundle_is_read_or_refused(objects: list[object]) -> None:
    stix.read(json.dumps({"type": "bundle", "objects": objects}).encode())


VERIS_PARTS = (
    "incident_id",
    "summary",
    "timeline",
    "victim",
    "action",
    "actor",
    "attribute",
    "asset",
    "plus",
    "reference",
    "impact",
    "notes",
)


@given(st.dictionaries(st.sampled_from(VERIS_PARTS), JSON_VALUES, max_size=8), JSON_VALUES)
@settings(deadline=None, max_examples=100)
def test_any_veris_is_read_or_refused(parts: dict[str, object], inner: object) -> None:
    nested = {"victim": {"country": inner, "industry": inner, "government": inner},
              "action": {"hacking": inner, "odd": inner},
              "actor": {"external": inner}, "attribute": {"availability": inner, "confidentiality": inner}}  # fmt: skip
    for given_ in (parts, nested):
        veris.read(json.dumps([{"schema_version": "1.4.1", **given_}]).encode())


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for read in (json_form.read, stix.read, veris.read, tables.read_csv, parquet.read):
        with suppress(Refused):  # and no other exception
            read(content)


def test_damaged_files_of_ours_are_read_or_refused() -> None:
    maker = Maker(1)
    entries = [maker.entry(member=True) for _ in range(5)]
    whole = {
        parquet.read: parquet.write(entries),
        tables.read_csv: tables.write_csv(entries),
        stix.read: stix.write(entries, ABOUT),
    }
    for read, content in whole.items():
        for _ in range(60):
            broken = bytearray(content)
            for _ in range(maker.chance.randrange(1, 4)):
                broken[maker.chance.randrange(len(broken))] = maker.chance.randrange(256)
            if maker.chance.random() < 0.3:
                broken = broken[: maker.chance.randrange(len(broken))]
            with suppress(Refused):  # and no other exception
                read(bytes(broken))


def test_what_a_sender_withholds_is_reported() -> None:
    record = from_json({"id": "a", "motives": [{"term": "fun", "level": "member"}]})
    content = json_form.write([Entry(seen_by(record, member=False), 1, 2)], ABOUT)
    assert [(n.where, n.what) for n in json_form.read(content).notes] == [
        ("incidents[0]", "1 of motives: withheld by the sender")
    ]
    assert canonical.loads(content)["incidents"][0]["for_members"] == {"motives": 1}
