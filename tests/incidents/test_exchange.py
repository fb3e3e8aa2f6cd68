"""What leaves in another form is sound by that form's own checker, and comes back as it left."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import stix2
from makers import ABOUT, Maker
from veris_rules import broken

from kangma.errors import Code, Refused
from kangma.incidents import canonical
from kangma.incidents.exchange import feeds, mapping, parquet, stix, tables, veris
from kangma.incidents.exchange import json as json_form
from kangma.incidents.exchange.report import Entry, Taken
from kangma.incidents.form import from_json
from kangma.incidents.founding import records as founding_records
from kangma.incidents.levels import seen_by

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("KANGMA_DATA", str(ROOT.parent / "shared/data")))
SCHEMA = DATA / "veris/verisc-merged.json"

FORMS: dict[str, tuple[Callable[[Iterable[Entry]], bytes], Callable[[bytes], Taken]]] = {
    "json": (lambda entries: json_form.write(entries, ABOUT), json_form.read),
    "stix": (lambda entries: stix.write(entries, ABOUT), stix.read),
    "veris": (veris.write, veris.read),
    "csv": (tables.write_csv, tables.read_csv),
    "parquet": (parquet.write, parquet.read),
}


def entries_of(seed: int, count: int, *, member: bool) -> list[Entry]:
    maker = Maker(seed)
    return [maker.entry(member=member) for _ in range(count)]


def founding(*, member: bool) -> list[Entry]:
    return [Entry(seen_by(r, member=member), 1_700_000_000, 1_700_000_100) for r in founding_records()]


def out_in_out(form: str, seed: int, count: int) -> None:
    write, read = FORMS[form]
    for member in (True, False):
        entries = entries_of(seed + member, count, member=member)
        first = write(entries)
        taken = read(first)
        assert taken.refused == []
        assert [n for n in taken.notes if "withheld by the sender" not in n.what] == []
        assert write(taken.entries) == first
        if form != "veris":  # which leaves out what has no year of its own
            assert [e.seen.record for e in taken.entries] == [e.seen.record for e in entries]


@pytest.mark.parametrize("form", FORMS)
def test_a_hundred_records_leave_and_come_back_the_same(form: str) -> None:
    out_in_out(form, seed=11, count=50)


@pytest.mark.prove
@pytest.mark.parametrize("form", FORMS)
def test_a_thousand_records_leave_and_come_back_the_same(form: str) -> None:
    out_in_out(form, seed=random.randrange(2**32), count=500)


# STIX


@pytest.mark.parametrize("member", [True, False])
def test_stix_bundles_pass_stix2_strictly(member: bool) -> None:
    bundle = json.loads(stix.write([*founding(member=member), *entries_of(5, 30, member=member)], ABOUT))
    parsed = stix2.parse(bundle, allow_custom=False)
    kinds = {o.type for o in parsed.objects}
    assert {
        "incident", "identity", "attack-pattern", "threat-actor", "location", "course-of-action", "report",
        "relationship",
    } <= kinds  # fmt: skip
    ids = {o.id for o in parsed.objects}
    assert len(ids) == len(parsed.objects)
    for o in parsed.objects:
        if o.type == "incident":
            core = o.extensions[stix.CORE]
            assert core["determination"] in (
                "blocked",
                "failed-attempt",
                "false-positive",
                "successful-attempt",
                "suspected",
            )
        if o.type == "report":
            assert set(o.object_refs) <= ids


def test_a_bundle_of_nothing_is_a_bundle() -> None:
    """STIX knows no empty list: a register without records has a bundle without objects."""
    written = stix.write([], ABOUT)
    assert "objects" not in json.loads(written)  # the library would let the empty list pass
    assert stix2.parse(written.decode(), allow_custom=False, version="2.1").type == "bundle"
    assert stix.read(written).entries == []


def test_the_same_version_gives_the_same_bundle_and_two_views_are_two_objects() -> None:
    assert stix.write(founding(member=True), ABOUT) == stix.write(founding(member=True), ABOUT)
    incidents = [
        {o["id"] for o in stix.bundle(founding(member=m), ABOUT)["objects"] if o["type"] == "incident"}
        for m in (True, False)
    ]
    assert not incidents[0] & incidents[1]


def test_a_bundle_whose_objects_were_changed_is_read_by_its_objects() -> None:
    bundle = stix.bundle(founding(member=True)[:1], ABOUT)
    for o in bundle["objects"]:
        if o["type"] == "incident":
            o["name"] = "Somebody else's name"
    taken = stix.read(canonical.dumps(bundle))
    (entry,) = taken.entries
    assert entry.seen.record.summary.get("en") == "Somebody else's name"
    assert any("the objects were read" in n.what for n in taken.notes)


def test_a_strangers_bundle_is_mapped_and_the_rest_is_reported() -> None:
    def thing(kind: str, n: int, **rest: Any) -> dict[str, Any]:
        return {
            "type": kind, "spec_version": "2.1", "id": f"{kind}--00000000-0000-4000-8000-00000000000{n}",
            "created": "2021-01-01T00:00:00.000Z", "modified": "2021-01-01T00:00:00.000Z", **rest,
        }  # fmt: skip

    incident = thing("incident", 1, name="A breach", description="What happened", confidence=80, extensions={
        stix.CORE: {"extension_type": "property-extension", "determination": "successful-attempt",
                    "investigation_status": "closed", "incident_types": ["malware", "c2"],
                    "criticality": 50}})  # fmt: skip
    victim = thing(
        "identity",
        2,
        name="Hospital",
        sectors=["healthcare"],
        identity_class="organization",
        contact_information="x",
    )
    pattern = thing(
        "attack-pattern",
        3,
        name="Phishing",
        external_references=[{"source_name": "mitre-attack", "external_id": "T1566"}],
    )
    actor = thing(
        "threat-actor", 4, name="Somebody", threat_actor_types=["activist"], primary_motivation="ideology"
    )
    place = thing("location", 5, country="NL", name="Utrecht", latitude=52.1, longitude=5.1)
    odd = thing("malware", 6, name="Thing", is_family=False)

    def edge(n: int, kind: str, to: dict[str, Any]) -> dict[str, Any]:
        return thing(
            "relationship", n, relationship_type=kind, source_ref=incident["id"], target_ref=to["id"]
        )

    objects = [incident, victim, pattern, actor, place, odd, edge(7, "targets", victim), edge(8, "related-to", pattern),
               edge(9, "attributed-to", actor), edge(0, "located-at", place)]  # fmt: skip
    stix2.parse(
        {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000000", "objects": objects},
        allow_custom=False,
    )
    taken = stix.read(json.dumps({"type": "bundle", "id": "x", "objects": objects}).encode())
    (entry,) = taken.entries
    record = entry.seen.record
    assert record.victim is not None
    assert (record.victim.name, record.kinds) == ("Hospital", ("malware",))
    assert [t.id for t in record.techniques] == ["T1566"]
    assert [(a.name, a.type) for a in record.actors] == [("Somebody", "activist")]
    assert [m.term for m in record.motives] == ["ideology"]
    assert record.location is not None
    assert record.location.country == "NL"
    where = " ".join(n.where + n.what for n in taken.notes)
    for lost in ("confidence", "c2", "criticality", "contact_information", "latitude", "malware--"):
        assert lost in where


# VERIS


@pytest.mark.real_data
@pytest.mark.parametrize("member", [True, False])
def test_veris_passes_its_schema_and_the_rules_between_its_fields(member: bool) -> None:
    if not SCHEMA.exists():
        pytest.skip(f"THE VERIS SCHEMA IS ABSENT: {SCHEMA}")
    schema = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text("utf-8")))
    listed = json.loads(veris.write([*founding(member=member), *entries_of(9, 150, member=member)]))
    assert len(listed) > 80
    for incident in listed:
        assert [e.message for e in schema.iter_errors(incident)] == []
        assert broken(incident) == []


def test_the_rules_of_veris_can_be_broken() -> None:
    """The control: incidents that the checker must not let through."""
    incident = veris.incident(founding(member=True)[0])
    assert broken({**incident, "action": {"malware": {"variety": ["Worm"], "vector": ["Unknown"]}}}) == [
        "malware installs",
        "malware is developed",
    ]
    assert broken({**incident, "action": {"misuse": {}}, "actor": {"external": {}}}) == [
        "misuse is from within"
    ]


def test_a_strangers_veris_is_mapped_and_the_rest_is_reported() -> None:
    given = {
        "schema_version": "1.4.1", "incident_id": "A1B2-C3", "security_incident": "Confirmed", "summary": "Laptop lost",
        "timeline": {"incident": {"year": 2021, "month": 3}, "discovery": {"unit": "Days"}},
        "victim": {"victim_id": "A clinic", "country": ["NL"], "employee_count": "Small", "industry": "621",
                   "government": ["NA"]},
        "action": {"physical": {"variety": ["Theft"], "vector": ["Personal vehicle"]}},
        "actor": {"external": {"variety": ["Unknown"], "motive": ["Financial"]}},
        "asset": {"assets": [{"variety": "U - Laptop"}], "cloud": ["NA"]},
        "attribute": {"availability": {"variety": ["Loss"]},
                      "confidentiality": {"data_disclosure": "Potentially", "data_total": 12}},
        "discovery_method": {"unknown": True}, "reference": "https://news.example/1; https://news.example/2",
    }  # fmt: skip
    taken = veris.read(json.dumps([given]).encode())
    (entry,) = taken.entries
    record = entry.seen.record
    assert (record.id, record.certainty, record.kinds, str(record.date)) == (
        "a1b2-c3",
        "confirmed",
        ("theft",),
        "2021-03",
    )
    assert [s.url for s in record.sources] == ["https://news.example/1", "https://news.example/2"]
    assert (record.confidentiality.degree, record.availability.degree) == ("attempted", "whole")
    assert [m.term for m in record.motives] == ["financial"]
    where = " ".join(f"{n.where} {n.what}" for n in taken.notes)
    for lost in (
        "incident_id",
        "timeline.discovery",
        "employee_count",
        "industry",
        "asset.assets",
        "physical.vector",
    ):
        assert lost in where, where


def test_what_has_no_year_is_left_out_of_veris_and_said() -> None:
    entry = Entry(
        seen_by(from_json({"id": "a", "date": "2022", "levels": {"date": "member"}}), member=False), 0, 0
    )
    assert veris.cannot(entry)
    assert veris.write([entry]) == b"[]"
    with pytest.raises(ValueError, match="year"):
        veris.incident(entry)


# CSV


def test_no_cell_of_a_csv_is_a_formula() -> None:
    starts = "=+-@\t\r＝＋－＠"
    for member in (True, False):
        content = tables.write_csv([*entries_of(4, 60, member=member), *founding(member=member)])
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        assert {len(r) for r in rows} == {len(tables.NAMES)}
        cells = [cell for row in rows for cell in row if cell]
        assert [c for c in cells if c[0] in starts] == []
        assert any(c.startswith("'=") for c in cells)  # there was something to make safe


@pytest.mark.parametrize(
    "payload",
    ["=1+1", "+1", "-1", "@SUM(1)", "＝1", "'x", "''=1", '=HYPERLINK("https://x","y")', "=cmd|' /C calc'!A0"],
)
def test_a_formula_is_made_safe_and_comes_back(payload: str) -> None:
    assert tables.safe(payload)[0] == "'"
    assert tables.plain(tables.safe(payload)) == payload
    record = from_json({"id": "a", "victim": {"name": payload}, "summary": {"en": payload}})
    content = tables.write_csv([Entry(seen_by(record, member=True), 0, 0)])
    assert tables.read_csv(content).entries[0].seen.record == record


def test_our_reader_of_csv_agrees_with_the_usual_one() -> None:
    chance = random.Random(2)
    for _ in range(300):
        rows = [
            ["".join(chance.choice('a,"\n\r甲 ;') for _ in range(chance.randrange(6))) for _ in range(3)]
            for _ in range(4)
        ]
        buffer = io.StringIO(newline="")
        csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
        assert [cells for _, cells in tables.cells_of(buffer.getvalue())] == rows


# Feeds


def test_feeds_are_well_formed_and_say_what_is_for_members() -> None:
    entries = founding(member=False)
    root = ElementTree.fromstring(feeds.atom(entries, ABOUT, "en"))
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert len(root.findall("a:entry", names)) == len(entries)
    assert "2 motives, 1 technique, 1 source: for members" in ElementTree.tostring(root, encoding="unicode")
    feed = json.loads(feeds.json_feed(entries, ABOUT, "zh"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert any(
        "2 项动机、1 项技术手段、1 项来源：仅会员可见" in item["content_text"] for item in feed["items"]
    )


def test_feeds_of_any_record_are_well_formed() -> None:
    entries = entries_of(8, 50, member=False)
    for tag in ("zh", "en"):
        ElementTree.fromstring(feeds.atom(entries, ABOUT, tag))
        json.loads(feeds.json_feed(entries, ABOUT, tag))


def test_a_feed_cannot_be_made_of_what_members_see() -> None:
    with pytest.raises(ValueError, match="strangers"):
        feeds.atom(founding(member=True), ABOUT)
    with pytest.raises(ValueError, match="strangers"):
        feeds.json_feed(founding(member=True), ABOUT)


# Mapped CSV

MAPPING = """
format = 1
language = "en"
[id]
column = "Ref"
prefix = "other"
[fields]
"victim.name" = "Receiver"
"victim.country" = { column = "Country", values = { "China" = "CN", "Germany" = "DE" } }
"date" = { column = "Start", form = "%d.%m.%Y" }
"summary" = "Title"
"kinds" = { column = "Type", split = ";", values = { "DDoS" = "denial-of-service" }, otherwise = "other" }
"sources[].url" = { column = "Links", split = " " }
"sources[].title" = "Title"
[fixed]
certainty = "confirmed"
[ignore]
columns = ["Internal"]
"""


def test_the_csv_of_another_database_comes_in_through_a_mapping() -> None:
    rows = (
        "Ref,Receiver,Country,Start,Title,Type,Links,Internal,Colour\r\n"
        '12/A,"健康宝",China,28.04.2022,"Attack, from abroad",DDoS; Odd,https://a.example/1 https://a.example/2,x,red\r\n'
        "13,Clinic,Atlantis,01.05.2021,Breach,DDoS,https://a.example/3,,\r\n"
        "14,Clinic,Germany,2021-05-01,Breach,DDoS,https://a.example/3,,\r\n"
        ",Clinic,Germany,01.05.2021,Breach,DDoS,https://a.example/3,,\r\n"
    )
    taken = mapping.read(rows.encode(), mapping.load(MAPPING))
    first, second = (e.seen.record for e in taken.entries)
    assert (first.id, str(first.date), first.certainty) == ("other-12-a", "2022-04-28", "confirmed")
    assert first.kinds == ("denial-of-service", "other")
    assert [s.url for s in first.sources] == ["https://a.example/1", "https://a.example/2"]
    assert second.victim is not None
    assert second.victim.country == "unknown"
    assert [(r.where, r.faults[0].code) for r in taken.refused] == [
        ("line 4", Code.BAD_DATE),
        ("line 5", Code.MISSING_VALUE),
    ]
    assert taken.refused[0].faults[0].path == "Start"
    assert {(n.where, n.what) for n in taken.notes} == {
        ("column Colour", "the mapping file does not name it"),
        ("line 2, Type", "a value that the mapping file does not know: taken as other"),
        ("line 3, Country", "a value that the mapping file does not know: left out"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "format = 2",
        "format = 1\n[id]\n",
        "format = 1\nid = 3",
        "[",
        'format = 1\n[id]\ncolumn="a"\n[fields]\n"a b" = "c"',
        "format = 1\n[x]",
        *(
            f'format = 1\n[id]\ncolumn="a"\n[fields]\n"{field}" = "b"'
            for field in (
                "sumary",
                "victim.nme",
                "victim",
                "sources.url",
                "sources[]",
                "sources[].where",
                "date.x",
                "id",
                "levels.id",
                "summary.en.x",
            )
        ),
    ],
)
def test_a_mapping_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        mapping.load(text)


@pytest.mark.parametrize(
    "field",
    [
        "summary",
        "summary.zh",
        "victim.names.de",
        "kinds",
        "date",
        "impact[].what",
        "actions[].at",
        "picture.alt",
        "levels.motives",
    ],
)
def test_a_mapping_may_name_any_field(field: str) -> None:
    assert field in mapping.load(f'format = 1\n[id]\ncolumn="a"\n[fields]\n"{field}" = "b"').fields
