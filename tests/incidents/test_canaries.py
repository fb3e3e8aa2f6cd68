"""Nothing that is for members reaches a stranger, by any path: every text of a record is a canary, every field is for
members, and whatever a stranger can be given is searched for them. Each test has its control: a member's view sings."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from makers import canaries

from kangma.cli import main
from kangma.errors import KangmaError
from kangma.incidents.difference import difference
from kangma.incidents.exchange import feeds, parquet, stix, tables, veris
from kangma.incidents.exchange import json as json_form
from kangma.incidents.exchange.report import About, Entry
from kangma.incidents.finding import facets, text_of
from kangma.incidents.form import BadRecord, encode, from_json
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change, Role
from kangma.incidents.reading import for_members, headline
from kangma.incidents.record import FIELDS, Record
from kangma.incidents.words import Words
from kangma.store.register import Outdated, Register, create
from kangma.store.register_finder import FACETS, Query, Sort

NOW = 1_700_000_000
ABOUT = About("Register", "https://r.example")
#: What a canary looks like in any of its forms; 7317317, AX, T1491 and 1951-03-07 are those that cannot be words.
SINGS = ("CANARY", "金丝雀", "canary", "7317317", '"AX"', "T1491", "Defacement", "1951-03", "c0ffee")


def all_hidden(**more: object) -> Record:
    return from_json({**canaries(), "id": "quiet", "levels": dict.fromkeys(FIELDS, "member"), **more})


def items_hidden() -> Record:
    """The other way to hide: each item of a list for itself, everything else by its field."""
    value = canaries()
    listed = {
        name for name, part in value.items() if isinstance(part, list) and part and isinstance(part[0], dict)
    }
    for name in listed:
        value[name] = [{**item, "level": "member"} for item in value[name]]
    return from_json({**value, "id": "quiet", "levels": {n: "member" for n in FIELDS if n not in listed}})


def heard(text: str | bytes) -> list[str]:
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    with contextlib.suppress(ValueError):
        plain += json.dumps(json.loads(plain), ensure_ascii=False)  # escapes undone
    return [mark for mark in SINGS if mark in plain]


def every_form(entry: Entry) -> Iterator[tuple[str, bytes]]:
    yield "record", encode(entry.seen.record)
    yield "json", json_form.write([entry], ABOUT)
    yield "stix", stix.write([entry], ABOUT)
    yield "csv", tables.write_csv([entry])
    rows = pq.read_table(io.BytesIO(parquet.write([entry]))).to_pylist()
    yield "parquet", json.dumps(rows, ensure_ascii=False).encode()
    if not veris.cannot(entry):
        yield "veris", veris.write([entry])
    if not entry.seen.member:
        for tag in ("zh", "en"):
            yield f"atom {tag}", feeds.atom([entry], ABOUT, tag)
            yield f"feed {tag}", feeds.json_feed([entry], ABOUT, tag)
    yield "facets", json.dumps(facets(entry.seen), ensure_ascii=False).encode()
    yield "words", text_of(entry.seen.record).encode()
    yield "headline", repr(headline(entry.seen)).encode()
    yield "for members", repr(for_members(entry.seen)).encode()


@pytest.mark.parametrize("make", [all_hidden, items_hidden])
def test_no_form_that_leaves_carries_what_is_for_members(make: object) -> None:
    record: Record = make()  # type: ignore[operator]  # one of the two above
    for name, content in every_form(Entry(seen_by(record, member=False), NOW, NOW)):
        assert heard(content) == [], name


def test_veris_too_where_the_date_may_be_seen() -> None:
    levels = {n: "member" for n in FIELDS if n != "date"}
    record = from_json({**canaries(), "id": "quiet", "date": "2022", "levels": levels})
    content = veris.write([Entry(seen_by(record, member=False), NOW, NOW)])
    assert len(content) > 100
    assert heard(content) == []


def test_the_control_a_members_view_sings_in_every_form() -> None:
    for name, content in every_form(Entry(seen_by(all_hidden(), member=True), NOW, NOW)):
        if name != "for members":
            assert heard(content), name


def test_a_difference_does_not_sing() -> None:
    old, new = all_hidden(), from_json({"id": "quiet", "levels": dict.fromkeys(FIELDS, "member")})
    quiet = difference(seen_by(old, member=False), seen_by(new, member=False))
    assert quiet  # the counts changed
    assert heard(repr(quiet)) == []
    assert heard(repr(difference(seen_by(old, member=True), seen_by(new, member=True))))


def test_errors_do_not_repeat_what_was_sent() -> None:
    value = canaries()
    broken = {
        **value,
        "id": "CANARY id",
        "date": "CANARY",
        "certainty": "CANARY",
        "CANARY": "CANARY",
        "summary": {"CANARY": "CANARY", "en": "CANARY\x00"},
        "techniques": [{"id": "T1491", "name": "CANARY"}],
        "sources": [{"url": "CANARY://x"}],
        "impact": [{"value": "CANARY"}],
        "levels": {"CANARY": "member", "summary": "CANARY"},
        "victim": {"country": "CANARY", "CANARY": 1},
    }
    with pytest.raises(BadRecord) as caught:
        from_json(broken)
    assert len(caught.value.faults) >= 10
    assert heard(str(caught.value) + repr(caught.value.faults)) == []


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    """A register with a published, corrected record whose every field is for members; both versions sing."""
    with create(
        tmp_path / "r",
        title="Register",
        base="https://r.example",
        administrator="ann",
        organisation="City",
        now=NOW,
    ) as made:
        ann = made.member("ann")
        made.add_account(ann, "ed", "Elsewhere", Role.EDITOR, now=NOW)
        ed = made.member("ed")
        made.new(ed, all_hidden(), now=NOW)
        made.submit(ed, "quiet", now=NOW, note="CANARY note")
        made.approve(ann, "quiet", edit=1, now=NOW)
        made.publish(ann, "quiet", now=NOW)
        edit = made.reopen(ed, "quiet", Change.CORRECTION, Words.of({"zh": "改", "en": "mended"}), now=NOW)
        made.edit(ed, all_hidden(certainty="suspected"), after_edit=edit, now=NOW)
        made.submit(ed, "quiet", now=NOW)
        made.approve(ann, "quiet", edit=edit + 1, now=NOW)
        made.publish(ann, "quiet", now=NOW)
        made.new(ed, from_json({**canaries(), "id": "draft"}), now=NOW)
        yield made


def crawl(register: Register, member: str | None) -> Iterator[tuple[str, str]]:
    """Everything that the register gives this viewer."""
    viewer = register.member(member) if member else None
    for version in (None, 1, 2):
        found = register.show("quiet", viewer, now=NOW, version=version)
        yield f"show {version}", repr(found) + found.signed.decode("latin-1")
    yield "difference", repr(register.differences("quiet", 1, 2, viewer, now=NOW))
    for sort in Sort:
        yield f"list {sort}", repr(register.find(Query(sort=sort), viewer, now=NOW))
    yield "export", repr(list(register.entries(Query(), viewer, now=NOW)))


def test_nothing_that_the_register_gives_a_stranger_sings(register: Register) -> None:
    for name, text in crawl(register, None):
        assert heard(text) == [], name
    assert any(heard(text) for _, text in crawl(register, "ed"))
    for words in (*SINGS, "canary record", "金丝", "雀"):
        assert register.find(Query(words=words), None, now=NOW).total == 0, words
    assert register.find(Query(words="CANARY"), register.member("ed"), now=NOW).total == 1
    for facet in FACETS:
        for value in (
            "denial-of-service",
            "AX",
            "T1491",
            "CANARYrecord.victim.name",
            "1951",
            "convenience",
            "unknown",
        ):
            assert register.find(Query(chosen={facet: [value]}), None, now=NOW).total == 0
    for since, until in ((-10_000, 10_000), (-6_875, -6_870)):
        assert register.find(Query(since=since, until=until), None, now=NOW).total == 0
        assert register.find(Query(since=since, until=until), register.member("ed"), now=NOW).total == (
            since < -6_875
        ) + (since == -6_875)


def test_errors_of_the_register_do_not_sing(register: Register) -> None:
    said = []
    for attempt in (
        lambda: register.show("draft", None, now=NOW),
        lambda: register.show("quiet", None, now=NOW, version=9),
        lambda: register.edit(register.member("ed"), from_json({"id": "draft"}), after_edit=7, now=NOW),
        lambda: register.new(register.member("ed"), all_hidden(), now=NOW),
        lambda: register.publish(register.member("ann"), "draft", now=NOW),
    ):
        with pytest.raises(KangmaError) as caught:
            attempt()
        said.append(str(caught.value))
    register.edit(register.member("ed"), all_hidden(id="draft"), after_edit=1, now=NOW)
    with pytest.raises(Outdated) as late:
        register.edit(register.member("ed"), from_json({"id": "draft"}), after_edit=1, now=NOW)
    said.append(str(late.value))
    assert heard("\n".join(said)) == []


def test_the_public_folder_and_the_log_do_not_sing(register: Register) -> None:
    files = [f for f in (register.path / "public").rglob("*") if f.is_file()]
    assert len(files) >= 3
    for file in files:
        assert heard(file.read_bytes().decode("latin-1")) == [], file.name


def test_the_command_line_gives_a_stranger_nothing(
    register: Register, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = str(register.path)
    out = tmp_path / "out"
    forms = [
        ["export", where, "--form", form, "--out", str(out)]
        for form in ("json", "stix", "veris", "csv", "parquet", "atom", "feed")
    ]
    calls = [
        ["show", where, "quiet"],
        ["show", where, "quiet", "--json", "--difference-from", "1"],
        ["list", where],
        ["list", where, "--json"],
        ["search", where, "CANARY", "--json"],
        ["show", where, "draft"],
        ["check", where],
        *forms,
    ]
    for call in calls:
        with pytest.raises(SystemExit):
            main(["incident", *call])
        said = capfd.readouterr()
        assert heard(said.out + said.err) == [], call
        if "--out" in call:
            assert (
                heard(out.read_bytes().decode("latin-1") + out.read_bytes().decode("utf-8", "replace")) == []
            ), call
    with pytest.raises(SystemExit):
        main(["incident", "show", where, "quiet", "--as", "ed", "--json"])
    assert heard(capfd.readouterr().out)
