"""What a record promises: one writing, every fault at once and none that repeats what was sent, two levels."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import Maker, canaries

from kangma.errors import Code, Conflict, Refused
from kangma.incidents import attack, canonical
from kangma.incidents.difference import difference
from kangma.incidents.duplicates import merged, suggest
from kangma.incidents.finding import asked, tokens
from kangma.incidents.form import BadRecord, complete, decode, encode, from_json, to_json
from kangma.incidents.levels import seen_by
from kangma.incidents.life import NEEDS, RIGHTS, STEPS, Act, Role, State, after, approve, require
from kangma.incidents.reading import for_members
from kangma.incidents.record import FIELDS, Record
from kangma.incidents.vocabulary import NAICS, VERIS_ACTION, Kind, Sector
from kangma.incidents.words import Dated, Precision, Words

ATTACK = {
    "id": "an-attack",
    "victim": {"name": "健康宝", "country": "CN"},
    "date": "2022-04-28",
    "summary": {"zh": "遭到攻击", "en": "It was attacked"},
    "motives": [{"term": "espionage"}, {"term": "other", "level": "member"}],
    "techniques": [{"id": "T1498"}],
    "sources": [{"title": "A report", "url": "https://news.example/1"}],
    "levels": {"techniques": "member", "sources": "member"},
}


def test_a_record_is_written_in_one_way_and_read_back_the_same() -> None:
    record = from_json(ATTACK)
    assert decode(encode(record)) == record
    shuffled = dict(sorted(ATTACK.items(), reverse=True))
    assert encode(from_json(shuffled)) == encode(record)


def test_any_record_is_read_back_the_same() -> None:
    maker = Maker(7)
    for _ in range(100):
        record = maker.record()
        assert decode(encode(record)) == record


@pytest.mark.prove
def test_ten_thousand_records_are_read_back_the_same() -> None:
    maker = Maker(random.randrange(2**32))
    for _ in range(10_000):
        record = maker.record()
        assert decode(encode(record)) == record


def test_what_says_nothing_and_what_is_not_there_are_one() -> None:
    bare = from_json({"id": "a"})
    assert (
        from_json({"id": "a", "victim": {}, "motives": [], "summary": {}, "integrity": {"degree": "unknown"}})
        == bare
    )
    assert encode(bare) == b'{"format":"kangma-incident/1","id":"a"}'


def test_every_fault_is_told_at_once_with_its_place() -> None:
    with pytest.raises(BadRecord) as caught:
        from_json(
            {
                "id": "No Id",
                "colour": "red",
                "date": "2022-13",
                "victim": {"country": "XX"},
                "motives": [{"term": "boredom"}],
                "sources": [{"url": "javascript:alert(1)"}, {"publisher": "x"}],
                "summary": {"en": "turned\u202eround"},
                "impact": [{"value": "1e9"}],
                "levels": {"colour": "member", "motives": "secret"},
            }
        )
    assert {(f.path, f.code) for f in caught.value.faults} == {
        ("id", Code.BAD_VALUE),
        ("record", Code.UNKNOWN_COLUMN),
        ("date", Code.BAD_DATE),
        ("victim.country", Code.NOT_IN_LIST),
        ("motives[0].term", Code.NOT_IN_LIST),
        ("sources[0].url", Code.BAD_VALUE),
        ("summary.en", Code.BAD_VALUE),
        ("impact[0].value", Code.BAD_NUMBER),
        ("levels", Code.UNKNOWN_COLUMN),
        ("levels.motives", Code.NOT_IN_LIST),
    }


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"summary": {"en": "x" * 601}}, Code.VALUE_TOO_LONG),
        ({"summary": {"en": "a\x00b"}}, Code.BAD_VALUE),
        ({"summary": {"en": "half \ud83e"}}, Code.BAD_VALUE),
        ({"summary": {"english": "x"}}, Code.BAD_VALUE),
        ({"summary": ["x"]}, Code.BAD_VALUE),
        ({"victim": {"name": "two\nlines"}}, Code.BAD_VALUE),
        ({"kinds": ["misuse", "misuse"]}, Code.DUPLICATE_COLUMN),
        ({"motives": [{}] * 101}, Code.TOO_MANY_ROWS),
        ({"date": "2022-05/2022-04"}, Code.ENDS_BEFORE_START),
        ({"date": "2022-02-30"}, Code.BAD_DATE),
        ({"date": "1492"}, Code.BAD_DATE),
        ({"date": "2022-04-28T25:00:00Z"}, Code.BAD_TIME),
        ({"date": 2022}, Code.BAD_VALUE),
        ({"techniques": [{"id": "T1498", "name": "Another Name"}]}, Code.NOT_IN_LIST),
        ({"techniques": [{"id": "DoS"}]}, Code.BAD_VALUE),
        ({"sources": [{"title": "t", "url": "https://user:pw@host/"}]}, Code.BAD_VALUE),
        ({"sources": [{"title": "t", "url": "file:///etc/passwd"}]}, Code.BAD_VALUE),
        ({"sources": [{}]}, Code.MISSING_VALUE),
        ({"related": [{"id": "me"}]}, Code.BAD_VALUE),
        ({"picture": {"digest": "ab" * 32, "type": "image/png"}}, Code.MISSING_VALUE),
        ({"picture": {"digest": "ab" * 32, "type": "image/svg+xml", "alt": {"en": "x"}}}, Code.NOT_IN_LIST),
        ({"format": "kangma-incident/2"}, Code.NOT_IN_LIST),
    ],
)
def test_what_a_record_cannot_be(part: dict[str, object], code: Code) -> None:
    with pytest.raises(BadRecord) as caught:
        from_json({"id": "me", **part})
    assert code in {f.code for f in caught.value.faults}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
@settings(deadline=None, max_examples=150)
def test_whatever_is_sent_is_a_record_or_refused(value: object) -> None:
    for sent in (
        value,
        {"id": "a", "motives": value, "victim": value, "date": value, "summary": value, "levels": value},
    ):
        with suppress(Refused):  # and no other exception
            from_json(sent)


@given(st.binary(max_size=300) | st.text().map(lambda t: t.encode("utf-8", "surrogatepass")))
@settings(deadline=None, max_examples=200)
def test_whatever_bytes_are_sent_are_a_record_or_refused(content: bytes) -> None:
    with suppress(Refused):  # and no other exception
        decode(content)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 100_000, Code.TOO_DEEP),
        (b'{"a":' * 100 + b"1" + b"}" * 100, Code.TOO_DEEP),
        (b'{"id":"a","id":"b"}', Code.DUPLICATE_COLUMN),
        (b"1" * 5_000, Code.TOO_MANY_DIGITS),
        (b'{"id": NaN}', Code.BAD_NUMBER),
        (b'{"id": "\xff"}', Code.NOT_UTF8),
        ('{"id": "中"}'.encode("gb18030"), Code.NOT_UTF8),
        ('{"id": "a"}'.encode("utf-16"), Code.NOT_UTF8),
        (b"", Code.UNREADABLE),
    ],
)
def test_hostile_json_is_refused_by_name(content: bytes, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        canonical.loads(content)
    assert caught.value.code is code


def test_a_date_is_shown_no_finer_than_it_is_known() -> None:
    day = Dated.parse("2022-04-28")
    assert [day.at(p) for p in (Precision.DAY, Precision.MONTH, Precision.YEAR)] == [
        "2022-04-28",
        "2022-04",
        "2022",
    ]
    assert Dated.parse("2022").at(Precision.DAY) == "2022"
    assert Dated.parse("2022-02/2022-03").precision is Precision.RANGE
    assert (Dated.parse("2022-02").first.day, Dated.parse("2022-02").last.day) == (1, 28)
    assert Dated.parse("2022-04-28T08:41:00+08:00").at(Precision.MONTH) == "2022-04"


# Levels


def test_a_stranger_is_told_how_many_but_not_which() -> None:
    seen = seen_by(from_json(ATTACK), member=False)
    assert [m.term for m in seen.record.motives] == ["espionage"]
    assert seen.record.techniques == () == seen.record.sources
    assert seen.record.levels == {}
    said = for_members(seen)
    assert said is not None
    assert said.en == "1 motive, 1 technique, 1 source: for members"
    assert said.zh == "1 项动机、1 项技术手段、1 项来源：仅会员可见"


def test_a_member_sees_all_of_it() -> None:
    record = from_json(ATTACK)
    seen = seen_by(record, member=True)
    assert (seen.record, seen.hidden) == (record, {})
    assert for_members(seen) is None


@pytest.mark.parametrize("field", FIELDS)
def test_any_field_may_be_for_members(field: str) -> None:
    record = from_json({**canaries(), "id": "r", "levels": {field: "member"}})
    seen = seen_by(record, member=False)
    assert getattr(seen.record, field) == getattr(Record(), field)
    assert seen.hidden == {
        field: len(getattr(record, field)) if isinstance(getattr(record, field), tuple) else 1
    }


def test_a_difference_shows_a_stranger_counts_and_no_more() -> None:
    old = from_json(ATTACK)
    new = from_json({**ATTACK, "date": "2022-04", "techniques": [{"id": "T1498"}, {"id": "T1491"}]})
    changes = {
        c.path: (c.before, c.after) for c in difference(*(seen_by(r, member=False) for r in (old, new)))
    }
    assert changes == {"date": ("2022-04-28", "2022-04"), "hidden.techniques": (1, 2)}
    paths = {c.path for c in difference(*(seen_by(r, member=True) for r in (old, new)))}
    assert paths == {"date", "techniques"}
    with pytest.raises(ValueError, match="two viewers"):
        difference(seen_by(old, member=True), seen_by(new, member=False))


def test_the_difference_of_a_record_and_itself_is_nothing() -> None:
    maker = Maker(3)
    for _ in range(30):
        seen = seen_by(maker.record(), member=True)
        assert difference(seen, seen) == ()


# Life


def test_the_life_of_a_record_is_the_picture_of_it() -> None:
    state = State.DRAFT
    for act in (Act.EDIT, Act.SUBMIT, Act.RETURN, Act.EDIT, Act.SUBMIT, Act.APPROVE, Act.PUBLISH, Act.OPEN):
        state = after(state, act)
    assert state is State.DRAFT
    possible = {(s, a) for s in State for a in Act if (s, a) in STEPS}
    for pair in {(s, a) for s in State for a in Act} - possible:
        with pytest.raises(Conflict):
            after(*pair)


def test_nobody_approves_their_own() -> None:
    approve("bo", {"an"})
    with pytest.raises(Refused, match="same_officer"):
        approve("an", {"an", "bo"})


def test_every_role_may_exactly_what_its_rights_say() -> None:
    may = {role: {act for act in Act if NEEDS[act] in RIGHTS[role]} for role in Role}
    writing = {Act.OPEN, Act.EDIT, Act.SUBMIT, Act.DISCARD}
    assert may == {
        Role.READER: set(),
        Role.EDITOR: writing,
        Role.REVIEWER: set(Act),
        Role.ADMINISTRATOR: set(Act),
    }
    for act in Act:
        with pytest.raises(Refused, match="not_allowed"):
            require(NEEDS[act], RIGHTS[Role.READER])


def test_a_draft_lacks_what_readers_need() -> None:
    assert {f.path for f in complete(from_json({"id": "a"}))} == {
        "victim.name",
        "date",
        "summary.zh",
        "summary.en",
        "sources",
    }
    assert complete(from_json(ATTACK)) == ()


# Duplicates


def test_the_same_victim_about_the_same_days_is_suggested() -> None:
    mine = from_json(ATTACK)
    same = from_json({"id": "b", "victim": {"name": "北京健康宝", "country": "CN"}, "date": "2022-05"})
    later = from_json({"id": "c", "victim": {"name": "健康宝", "country": "CN"}, "date": "2024"})
    other = from_json({"id": "d", "victim": {"name": "CoronaCheck", "country": "NL"}, "date": "2022-04-28"})
    found = suggest(mine, [mine, same, later, other])
    assert [(s.id, s.reasons) for s in found] == [("b", ("victim", "date", "country"))]


def test_merging_keeps_what_either_says_and_names_where_they_differ() -> None:
    mine = from_json(ATTACK)
    other = from_json(
        {
            "id": "b",
            "date": "2022-04",
            "certainty": "confirmed",
            "motives": [{"term": "fun"}],
            "related": [{"id": "an-attack"}],
        }
    )
    made, differ = merged(mine, other)
    assert differ == ("date",)
    assert made.date == mine.date
    assert made.certainty == "confirmed"
    assert [m.term for m in made.motives] == ["espionage", "other", "fun"]
    assert made.related == ()
    assert decode(encode(made)) == made


# Words


@pytest.mark.parametrize(
    ("sought", "text", "found"),
    [
        ("健康", "北京健康宝", True),
        ("宝", "北京健康宝", True),
        ("健康宝", "健康码和宝贝", False),
        ("attack", "It was ATTACKED", True),
        ("naive", "Naïve", True),
        ("健康宝 attack", "attack on 健康宝", True),
        ("dos 攻击", "DoS攻击", True),
        ("ｆｕｌｌ", "full width", True),
        ("tack", "attack", False),
    ],
)
def test_words_are_found_in_chinese_and_others(sought: str, text: str, found: bool) -> None:
    import sqlite3  # noqa: PLC0415

    con = sqlite3.connect(":memory:")
    con.execute('CREATE VIRTUAL TABLE t USING fts5(x, tokenize="unicode61 remove_diacritics 0")')
    con.execute("INSERT INTO t VALUES (?)", (tokens(text),))
    assert bool(con.execute("SELECT 1 FROM t WHERE t MATCH ?", (asked(sought),)).fetchall()) is found


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_nothing_that_is_typed_is_an_operator(text: str) -> None:
    assert re.fullmatch(r'(?:"[^"]+"(?: \*)?(?: |$))*', asked(text))


# Vocabularies


def test_every_kind_and_sector_has_its_place_in_veris() -> None:
    assert set(VERIS_ACTION) == set(Kind)
    assert set(NAICS) == set(Sector)
    assert all(attack.ID.fullmatch(id) for id in attack.TABLE)


def test_the_table_of_techniques_can_be_extended() -> None:
    known = {**attack.TABLE, "T9001": attack.Entry("Invented", ("impact",))}
    made = from_json({"id": "a", "techniques": [{"id": "T9001", "name": "Invented"}]}, known=known)
    assert made.techniques[0].name == "Invented"
    with pytest.raises(BadRecord):
        from_json({"id": "a", "techniques": [{"id": "T9001", "name": "Else"}]}, known=known)


def test_a_changed_record_is_another_record() -> None:
    record = from_json(ATTACK)
    assert encode(replace(record, summary=Words.of({"en": "x"}))) != encode(record)
    assert to_json(record)["levels"] == {"sources": "member", "techniques": "member"}
