"""The register: four eyes, nothing lost or deleted, who may what, who looked, and finding in both languages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from makers import Maker

from kangma.errors import Code, Conflict, Corrupt, Refused, Unavailable
from kangma.incidents import statement
from kangma.incidents.duplicates import suggest
from kangma.incidents.exchange.report import Entry, Taken
from kangma.incidents.form import BadRecord, from_json
from kangma.incidents.founding import FOUNDING, records
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change, Right, Role, State
from kangma.incidents.record import Record
from kangma.incidents.signal import Measured, Signal, alerts
from kangma.incidents.vocabulary import Certainty, Kind, Unit
from kangma.incidents.words import Dated, Words
from kangma.store import register_schema as db
from kangma.store.register import Outdated, Register, create, open_register
from kangma.store.register_finder import Query, Sort
from kangma.translog.checkpoint import open_checkpoint
from kangma.translog.fsck import fsck

NOW = 1_700_000_000
WHY = Words.of({"zh": "更正日期", "en": "The date was wrong"})


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    with create(
        tmp_path / "r",
        title="Songyuli",
        base="https://r.example",
        administrator="ann",
        organisation="City",
        now=NOW,
    ) as made:
        ann = made.member("ann")
        for name, role in (
            ("ed", Role.EDITOR),
            ("eve", Role.EDITOR),
            ("rob", Role.REVIEWER),
            ("rea", Role.READER),
        ):
            made.add_account(ann, name, f"Organisation of {name}", role, now=NOW)
        yield made


def record(id: str = "attack", **more: object) -> Record:
    return from_json(
        {
            "id": id,
            "kinds": ["denial-of-service"],
            "victim": {"name": "健康宝", "country": "CN", "sector": "public-health"},
            "date": "2022-04-28",
            "summary": {"zh": "北京健康宝遭受攻击", "en": "Beijing's health code was attacked"},
            "sources": [{"title": "A report"}],
            "motives": [{"term": "grudge", "level": "member", "note": {"en": "zebra"}}],
            **more,
        }
    )


def published(
    register: Register, made: Record, *, by: str = "ed", reviewer: str = "rob", now: int = NOW
) -> None:
    ed, rob = register.member(by), register.member(reviewer)
    edit = register.new(ed, made, now=now)
    register.submit(ed, made.id, now=now)
    register.approve(rob, made.id, edit=edit, now=now)
    register.publish(rob, made.id, now=now)


def test_what_is_published_is_shown_signed_and_in_the_log(register: Register) -> None:
    published(register, record())
    found = register.show("attack", None, now=NOW)
    assert found.entry.seen == seen_by(record(), member=False)
    assert statement.verify(found.signed, register.key) == found.statement
    statement.check(found.statement, found.entry.seen.record)
    folder = register.path / "public"
    checkpoint = open_checkpoint((folder / "checkpoint").read_bytes(), "r.example/incidents", register.key)
    assert checkpoint.size == found.log_index + 1
    assert fsck(lambda name: (folder / name).read_bytes(), checkpoint) is None
    assert register.check() == {"versions": 1}


def test_a_member_can_check_all_of_a_version_and_a_stranger_has_no_salt(register: Register) -> None:
    published(register, record())
    found = register.show("attack", register.member("rea"), now=NOW)
    assert found.salt is not None
    statement.check(found.statement, found.entry.seen.record, found.salt)
    with pytest.raises(Corrupt):
        statement.check(found.statement, replace(found.entry.seen.record, motives=()), found.salt)
    assert register.show("attack", None, now=NOW).salt is None


def test_a_draft_is_nobodys_business(register: Register) -> None:
    register.new(register.member("ed"), record(), now=NOW)
    said = []
    for id in ("attack", "never-was"):
        with pytest.raises(Refused) as caught:
            register.show(id, None, now=NOW)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert register.find(Query(), None, now=NOW).total == 0
    with pytest.raises(Refused, match="not_allowed"):
        register.work(register.member("rea"), "attack", now=NOW)


def test_nobody_publishes_what_they_wrote_alone(register: Register) -> None:
    ann = register.member("ann")
    register.new(ann, record(), now=NOW)
    register.submit(ann, "attack", now=NOW)
    with pytest.raises(Refused, match="same_officer"):
        register.approve(ann, "attack", edit=1, now=NOW)
    with pytest.raises(Conflict):
        register.publish(ann, "attack", now=NOW)


def test_who_wrote_only_a_part_may_not_approve_it_either(register: Register) -> None:
    ed, rob = register.member("ed"), register.member("rob")
    register.new(ed, record(), now=NOW)
    register.edit(rob, record(certainty="confirmed"), after_edit=1, now=NOW)
    register.submit(ed, "attack", now=NOW)
    with pytest.raises(Refused, match="same_officer"):
        register.approve(rob, "attack", edit=2, now=NOW)
    register.approve(register.member("ann"), "attack", edit=2, now=NOW)


def test_a_reviewer_approves_what_they_read_and_not_what_came_after(register: Register) -> None:
    ed, rob = register.member("ed"), register.member("rob")
    register.new(ed, record(), now=NOW)
    register.submit(ed, "attack", now=NOW)
    register.give_back(rob, "attack", now=NOW, note="the date?")
    register.edit(ed, record(date="2022-04"), after_edit=1, now=NOW)
    register.submit(ed, "attack", now=NOW)
    with pytest.raises(Outdated) as caught:
        register.approve(rob, "attack", edit=1, now=NOW)
    assert [c.path for c in caught.value.difference] == ["date"]
    work = register.work(ed, "attack", now=NOW)
    assert [a.note for a in work.acts if a.note] == ["the date?"]


def test_an_incomplete_draft_is_not_reviewed(register: Register) -> None:
    ed = register.member("ed")
    register.new(ed, from_json({"id": "bare"}), now=NOW)
    with pytest.raises(BadRecord) as caught:
        register.submit(ed, "bare", now=NOW)
    assert {f.path for f in caught.value.faults} >= {"victim.name", "date", "sources"}
    assert register.work(ed, "bare", now=NOW).state is State.DRAFT


def test_the_second_of_two_editors_is_told_the_difference_and_nothing_is_lost(register: Register) -> None:
    ed, eve = register.member("ed"), register.member("eve")
    register.new(ed, record(), now=NOW)
    register.edit(ed, record(certainty="confirmed"), after_edit=1, now=NOW)
    with pytest.raises(Outdated) as caught:
        register.edit(eve, record(date="2022-04"), after_edit=1, now=NOW)
    assert caught.value.edit == 2
    assert [(c.path, c.before, c.after) for c in caught.value.difference] == [
        ("certainty", None, "confirmed")
    ]
    assert "zebra" not in str(caught.value)
    assert register.work(ed, "attack", now=NOW).record.certainty == "confirmed"
    register.edit(eve, record(certainty="confirmed", date="2022-04"), after_edit=2, now=NOW)


def test_of_many_editors_at_once_exactly_one_wins_each_round(register: Register) -> None:
    ed = register.member("ed")
    register.new(ed, record(), now=NOW)
    won: list[int] = []

    def save(n: int) -> None:
        with suppress(Outdated):
            won.append(
                register.edit(
                    ed, record(summary={"zh": f"第{n}", "en": f"number {n}"}), after_edit=1, now=NOW
                )
            )

    threads = [threading.Thread(target=save, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert won == [2]


def test_a_correction_is_a_new_version_and_the_old_one_stays(register: Register) -> None:
    published(register, record())
    ed, rob = register.member("ed"), register.member("rob")
    edit = register.reopen(ed, "attack", Change.CORRECTION, WHY, now=NOW + 1)
    register.edit(ed, record(date="2022-04"), after_edit=edit, now=NOW + 2)
    assert register.show("attack", None, now=NOW).entry.seen.record.date == Dated.parse(
        "2022-04-28"
    )  # meanwhile
    register.submit(ed, "attack", now=NOW + 3)
    register.approve(rob, "attack", edit=edit + 1, now=NOW + 4)
    assert register.publish(rob, "attack", now=NOW + 5) == [2]
    newest, oldest = (register.show("attack", None, now=NOW, version=v) for v in (None, 1))
    assert (newest.entry.version, newest.versions, newest.reason, newest.change) == (
        2,
        2,
        WHY,
        Change.CORRECTION,
    )
    assert newest.statement.previous == oldest.statement.public
    assert newest.statement.reason == WHY
    assert [(c.path, c.before, c.after) for c in register.differences("attack", 1, 2, None, now=NOW)] == [
        ("date", "2022-04-28", "2022-04")
    ]
    assert register.find(Query(), None, now=NOW).total == 1
    assert register.check() == {"versions": 2}


def test_a_withdrawal_stays_visible_and_says_why(register: Register) -> None:
    published(register, record())
    ed, rob = register.member("ed"), register.member("rob")
    edit = register.reopen(ed, "attack", Change.WITHDRAWAL, WHY, now=NOW)
    register.submit(ed, "attack", now=NOW)
    register.approve(rob, "attack", edit=edit, now=NOW)
    register.publish(rob, "attack", now=NOW + 9)
    found = register.show("attack", None, now=NOW)
    assert found.entry.withdrawn
    assert found.reason == WHY
    assert register.find(Query(), None, now=NOW).cards[0]["withdrawn"] is True


def test_a_reopening_says_why_in_both_languages(register: Register) -> None:
    published(register, record())
    with pytest.raises(Refused, match="missing_value"):
        register.reopen(register.member("ed"), "attack", Change.CORRECTION, Words.of({"en": "x"}), now=NOW)


def test_a_discarded_draft_is_kept_and_a_discarded_correction_leaves_the_version(register: Register) -> None:
    ed = register.member("ed")
    register.new(ed, record("given-up"), now=NOW)
    register.discard(ed, "given-up", now=NOW)
    assert register.work(ed, "given-up", now=NOW).state is State.DISCARDED
    assert register.drafts(ed) == []
    published(register, record())
    register.reopen(ed, "attack", Change.CORRECTION, WHY, now=NOW)
    register.discard(ed, "attack", now=NOW)
    assert register.work(ed, "attack", now=NOW).state is State.PUBLISHED


@pytest.mark.parametrize("table", db.APPEND_ONLY)
def test_the_database_itself_refuses_to_change_or_delete(register: Register, table: str) -> None:
    published(register, record())
    register.keep_picture(register.member("ed"), b"\x89PNG\r\n\x1a\n", "image/png")
    register.show("attack", register.member("rea"), now=NOW)
    column = {"looks": "what", "happened": "what", "pictures": "type", "log_entries": "entry"}.get(
        table, "id"
    )
    for statement_ in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = 'x'"):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), register._engine.begin() as on:
            on.exec_driver_sql(statement_)


def test_a_version_changed_behind_our_back_is_found(register: Register) -> None:
    published(register, record())
    with register._engine.begin() as on:
        on.exec_driver_sql("DROP TRIGGER versions_no_update")
        document = on.exec_driver_sql("SELECT document FROM versions").scalar()
        on.execute(
            sa.text("UPDATE versions SET document = :d"),
            {"d": bytes(document).replace(b"attacked", b"visited.")},
        )
    with pytest.raises(Corrupt, match="attack version 1"):
        register.check()


# Members


def test_who_may_what(register: Register) -> None:
    rea, ed = register.member("rea"), register.member("ed")
    for attempt in (
        lambda: register.new(rea, record(), now=NOW),
        lambda: register.drafts(rea),
        lambda: register.looks(ed),
        lambda: register.add_account(ed, "x", "", Role.READER, now=NOW),
        lambda: register.publish(ed, "attack", now=NOW),
    ):
        with pytest.raises(Refused, match="not_allowed"):
            attempt()
    register.close_account(register.member("ann"), "ed", now=NOW)
    with pytest.raises(Refused, match="not_allowed"):
        register.member("ed")
    with pytest.raises(Conflict):
        register.add_account(register.member("ann"), "ed", "", Role.READER, now=NOW)


def test_a_token_opens_its_scopes_for_its_time_and_is_kept_as_a_digest(register: Register) -> None:
    ed = register.member("ed")
    name, token = register.make_token(ed, "ed", {Right.READ}, now=NOW, expires_at=NOW + 100)
    held = register.bearer(token, now=NOW + 99)
    assert (held.account, held.rights) == ("ed", frozenset({Right.READ}))
    with pytest.raises(Refused, match="not_allowed"):
        register.new(held, record(), now=NOW)
    for bad, now in ((token, NOW + 100), (token[:-1], NOW), ("", NOW)):
        with pytest.raises(Refused, match="not_allowed: no such token"):
            register.bearer(bad, now=now)
    with pytest.raises(Refused, match="not_allowed"):
        register.make_token(ed, "ed", {Right.PUBLISH}, now=NOW, expires_at=NOW + 1)
    with pytest.raises(Refused, match="not_allowed"):
        register.make_token(ed, "rob", {Right.READ}, now=NOW, expires_at=NOW + 1)
    raw = b"".join(f.read_bytes() for f in register.path.rglob("*") if f.is_file())
    assert token.encode() not in raw
    register.close_token(ed, name, now=NOW)
    with pytest.raises(Refused, match="not_allowed"):
        register.bearer(token, now=NOW)


def test_a_token_that_may_only_write_reads_nothing_of_what_others_wrote(register: Register) -> None:
    ed = register.member("ed")
    _, token = register.make_token(ed, "ed", {Right.WRITE}, now=NOW, expires_at=NOW + 100)
    machine = register.bearer(token, now=NOW)
    assert register.new(machine, record(), now=NOW) == 1
    for attempt in (
        lambda: register.work(machine, "attack", now=NOW),
        lambda: register.edit(machine, record(), after_edit=9, now=NOW),
        lambda: register.duplicates(machine, record("b"), now=NOW),
    ):
        with pytest.raises(Refused, match="not_allowed"):
            attempt()
    assert not register.find(Query(), machine, now=NOW).cards


def test_the_head_of_the_log_never_goes_back(register: Register) -> None:
    """Many programs publish at once; after each, the checkpoint that is out has every entry of those that returned."""
    ed, rob = register.member("ed"), register.member("rob")
    for n in range(6):
        register.new(ed, record(f"r{n}"), now=NOW)
        register.submit(ed, f"r{n}", now=NOW)
        register.approve(rob, f"r{n}", edit=1, now=NOW)
    behind: list[str] = []

    def publish(n: int) -> None:
        with open_register(register.path) as mine:
            mine.publish(rob, f"r{n}", now=NOW)
            index = mine.show(f"r{n}", None, now=NOW).log_index
            checkpoint = (register.path / "public/checkpoint").read_bytes()
            if open_checkpoint(checkpoint, "r.example/incidents", mine.key).size <= index:
                behind.append(f"r{n}")

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert behind == []
    assert register.check() == {"versions": 6}


def test_a_reason_is_text_like_any_other(register: Register) -> None:
    published(register, record())
    bad = Words((("en", "turned\u202eround"), ("zh", "改")))
    with pytest.raises(Refused, match="bad_value"):
        register.reopen(register.member("ed"), "attack", Change.CORRECTION, bad, now=NOW)


def test_every_look_at_what_is_for_members_is_recorded(register: Register) -> None:
    published(register, record())
    rea, ann = register.member("rea"), register.member("ann")
    before = len(register.looks(ann))
    register.show("attack", rea, now=NOW)
    register.find(Query(), rea, now=NOW)
    list(register.entries(Query(), rea, now=NOW))
    register.show("attack", None, now=NOW)
    register.find(Query(), None, now=NOW)
    looks = register.looks(ann)[: len(register.looks(ann)) - before]
    assert [(x["account"], x["what"], x["id"], x["records"]) for x in reversed(looks)] == [
        ("rea", "show", "attack", 1),
        ("rea", "search", "", 1),
        ("rea", "export", "", 1),
    ]


# Finding


def test_words_and_counts_follow_what_a_viewer_sees(register: Register) -> None:
    published(register, record())
    rea = register.member("rea")
    for words, stranger, member in (
        ("健康", 1, 1),
        ("宝", 1, 1),
        ("attack", 1, 1),
        ("zebra", 0, 1),
        ("grudge", 0, 1),
        ("x", 0, 0),
    ):
        assert register.find(Query(words=words), None, now=NOW).total == stranger, words
        assert register.find(Query(words=words), rea, now=NOW).total == member, words
    assert register.find(Query(), None, now=NOW).counts["motive"] == {}
    assert register.find(Query(), rea, now=NOW).counts["motive"] == {"grudge": 1}
    assert register.find(Query(chosen={"motive": ["grudge"]}), None, now=NOW).total == 0


def test_a_corrected_version_is_found_by_its_own_words_only(register: Register) -> None:
    published(register, record())
    ed, rob = register.member("ed"), register.member("rob")
    edit = register.reopen(ed, "attack", Change.CORRECTION, WHY, now=NOW)
    register.edit(ed, record(summary={"zh": "更正后", "en": "After all a visit"}), after_edit=edit, now=NOW)
    register.submit(ed, "attack", now=NOW)
    register.approve(rob, "attack", edit=edit + 1, now=NOW)
    register.publish(rob, "attack", now=NOW)
    assert register.find(Query(words="attacked"), None, now=NOW).total == 0
    assert register.find(Query(words="visit"), None, now=NOW).total == 1


def test_filters_pages_and_counts_agree_with_looking_at_each(register: Register) -> None:
    maker = Maker(21)
    made = [from_json({**json.loads(_json(maker.record(id=f"r{i}")))}) for i in range(40)]
    ed, rob = register.member("ed"), register.member("rob")
    register.take(ed, Taken([Entry(seen_by(r, member=True), 0, 0) for r in made]), now=NOW)
    ready = []
    for first in made:
        r = first
        try:
            register.submit(ed, r.id, now=NOW)
        except BadRecord:
            whole = {
                "victim": {"name": "x"},
                "date": "2020",
                "summary": {"zh": "a", "en": "b"},
                "sources": [{"title": "t"}],
            }
            r = from_json({**whole, **{k: v for k, v in json.loads(_json(r)).items() if k not in whole}})
            register.edit(ed, r, after_edit=1, now=NOW)
            register.submit(ed, r.id, now=NOW)
        register.approve(rob, r.id, edit=register.work(rob, r.id, now=NOW).edit, now=NOW)
        ready.append(r)
    register.publish(rob, *[r.id for r in ready], now=NOW)
    for viewer in (None, register.member("rea")):
        views = {r.id: seen_by(r, member=viewer is not None).record for r in ready}
        page = register.find(Query(size=200), viewer, now=NOW)
        assert page.total == 40
        for kind in Kind:
            expected = {id for id, r in views.items() if kind in r.kinds}
            found = register.find(Query(chosen={"kind": [kind.value]}, size=200), viewer, now=NOW)
            assert {c["id"] for c in found.cards} == expected
            assert page.counts["kind"].get(kind.value, 0) == len(expected)
        for sort in Sort:
            walked, after = [], ""
            while True:
                part = register.find(Query(sort=sort, size=7, after=after), viewer, now=NOW)
                walked += [c["id"] for c in part.cards]
                after = part.next
                if not after:
                    break
            assert sorted(walked) == sorted(views)
            assert walked == [
                c["id"] for c in register.find(Query(sort=sort, size=200), viewer, now=NOW).cards
            ]
        days = [
            c.get("date", "") for c in register.find(Query(sort=Sort.OLDEST, size=200), viewer, now=NOW).cards
        ]
        dated = [Dated.parse(d).first for d in days if d]
        assert dated == sorted(dated)
        since = Query(since=18_000, until=19_000, size=200)
        touched = {
            id for id, r in views.items()
            if r.date and (r.date.last.toordinal() - 719_163 >= 18_000) and (r.date.first.toordinal() - 719_163 <= 19_000)
        }  # fmt: skip
        assert {c["id"] for c in register.find(since, viewer, now=NOW).cards} == touched


def _json(r: Record) -> bytes:
    from kangma.incidents.form import encode  # noqa: PLC0415

    return encode(r)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (Query(chosen={"colour": ["red"]}), Code.NOT_IN_LIST),
        (Query(after="x"), Code.BAD_VALUE),
        (Query(after="b2xkZXN0IDEgMQ"), Code.BAD_VALUE),  # the mark of another order
        (Query(size=0), Code.BAD_NUMBER),
        (Query(size=201), Code.BAD_NUMBER),
    ],
)
def test_a_query_that_cannot_be_is_refused(register: Register, query: Query, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        register.find(query, None, now=NOW)
    assert caught.value.code is code


def test_another_program_sees_what_was_published_meanwhile(register: Register) -> None:
    with open_register(register.path) as other:
        assert other.find(Query(), None, now=NOW).total == 0
        published(register, record())
        assert other.find(Query(), None, now=NOW).total == 1
        published(other, record("second"))
    assert register.find(Query(), None, now=NOW).total == 2


# Imports, duplicates, signals, pictures, founding records


def test_an_import_opens_drafts_and_overwrites_nothing(register: Register) -> None:
    ed = register.member("ed")
    published(register, record())
    taken = Taken()
    for id in ("attack", "fresh"):
        taken.take(id, Entry(seen_by(record(id), member=True), 0, 0))
    assert register.take(ed, taken, now=NOW) == ["fresh"]
    assert [(r.where, r.faults[0].code) for r in taken.refused] == [("attack", Code.DUPLICATE_ID)]
    assert register.find(Query(), None, now=NOW).total == 1
    assert [d["id"] for d in register.drafts(ed)] == ["fresh"]


def test_what_may_be_the_same_is_suggested_from_drafts_and_versions(register: Register) -> None:
    published(register, record())
    ed = register.member("ed")
    register.new(ed, record("in-work", date="2022-05"), now=NOW)
    found = register.duplicates(ed, record("third", date="2022-04-29"), now=NOW)
    assert {s.id for s in found} == {"attack", "in-work"}


def test_a_published_record_of_the_same_source_is_suggested_whatever_its_victim_is_called(
    register: Register,
) -> None:
    source = {"title": "Report", "url": "https://news.example/one", "level": "member"}
    told = {
        "id": "told",
        "date": "2022-05-01",
        "victim": {"name": "健康码"},
        "summary": {"zh": "一", "en": "One"},
    }
    published(register, from_json({**told, "sources": [source]}))

    def reasons(url: str) -> list[tuple[str, tuple[str, ...]]]:
        mine = {
            "id": "mine",
            "date": "2022-05-02",
            "victim": {"name": "Health Kit"},
            "sources": [{"url": url}],
        }
        found = register.duplicates(register.member("ed"), from_json(mine), now=NOW)
        return [(s.id, s.reasons) for s in found]

    assert reasons("https://news.example/one/") == [("told", ("date", "source"))]
    assert reasons("https://news.example/two") == []


def test_two_cities_of_one_country_in_one_week_have_two_incidents() -> None:
    def failed(id: str, name: str, zh: str, en: str) -> Record:
        victim = {"name": name, "country": "CN", "place": {"zh": zh, "en": en}}
        return from_json({"id": id, "date": "2021-12-20", "victim": victim})

    one = failed("one", "西安健康码", "西安", "Xi'an")
    assert suggest(one, [failed("other", "西宁健康码", "西宁", "Xining")]) == ()
    (same,) = suggest(one, [failed("same", "西安一码通", "西安市", "Xi'an")])
    assert same.reasons == ("date", "country", "place")


def signal(event: str = "flood-1", **more: object) -> Signal:
    return Signal(
        "gateway", event, Kind.DENIAL_OF_SERVICE, "健康码", "Refusals above 1,000 a second", NOW,
        affected=("me/code",), kept_working=("offline verification",),
        figures=(Measured("被拒请求", "requests refused", "1400000", Unit.REQUESTS),), **more,  # type: ignore[arg-type]  # any field
    )  # fmt: skip


def test_a_defence_opens_one_draft_for_an_event_however_often_it_says_so(register: Register) -> None:
    first = register.signal(signal(), now=NOW + 90)
    assert [register.signal(signal(ended=NOW + n), now=NOW + n) for n in range(1, 5)] == [first] * 4
    assert register.signal(signal("flood-2"), now=NOW) != first
    work = register.work(register.member("ed"), first, now=NOW)
    assert (work.origin, work.record.certainty, work.state) == ("signal", "suspected", State.DRAFT)
    assert [str(a.at) for a in work.record.actions] == [
        "2023-11-14T22:14:50Z"
    ]  # when it was opened; it began 90 s before
    assert ", " not in work.record.description.get("zh")
    assert work.record.impact[0].value == "1400000"
    assert work.record.kept_working[0].what.get("en") == "offline verification"


def test_what_a_defence_says_later_goes_into_the_draft_until_a_person_has_taken_it_up(
    register: Register,
) -> None:
    ed = register.member("ed")
    id = register.signal(signal(), now=NOW + 90)
    assert register.signal(signal(), now=NOW + 100) == id  # the same again is nothing new
    assert register.work(ed, id, now=NOW).edit == 1
    register.signal(signal(ended=NOW + 600), now=NOW + 601)
    register.signal(signal(), now=NOW + 602)  # came late: what was over does not begin again
    work = register.work(ed, id, now=NOW)
    assert (work.edit, str(work.record.date)) == (2, "2023-11-14T22:13:20Z/2023-11-14T22:23:20Z")
    assert [str(a.at) for a in work.record.actions] == ["2023-11-14T22:14:50Z"]  # still when it was opened

    mine = replace(work.record, certainty=Certainty.CONFIRMED)
    register.edit(ed, mine, after_edit=2, now=NOW + 700)
    register.signal(signal(ended=NOW + 900), now=NOW + 901)
    assert register.work(ed, id, now=NOW).record == mine
    assert len(register.drafts(ed)) == 1


def test_many_defences_at_once_open_one_draft(register: Register) -> None:
    opened: list[str] = []
    threads = [
        threading.Thread(target=lambda: opened.append(register.signal(signal(), now=NOW))) for _ in range(8)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(opened)) == 1
    assert len(register.drafts(register.member("ed"))) == 1


WEBHOOK = {
    "version": "4",
    "alerts": [
        {
            "status": "resolved",
            "fingerprint": "a1b2c3d4e5f60718",
            "startsAt": "2022-04-28T00:41:00Z",
            "endsAt": "2022-04-28T01:41:00.5Z",
            "labels": {"alertname": "Flood", "kind": "denial-of-service"},
            "annotations": {
                "summary": "Too many \x1b[2J requests",
                "kept_working": "paper route, offline",
                "figure_requests_per_min": "1400000",
                "figure_x": "1",
            },
        }
    ],
}


def test_an_alertmanager_webhook_becomes_a_draft(register: Register) -> None:
    (made,) = alerts(WEBHOOK, system="健康码")
    assert (made.title, made.kind, made.kept_working) == (
        "Too many  [2J requests",
        Kind.DENIAL_OF_SERVICE,
        ("paper route", "offline"),
    )
    assert [(f.value, f.unit) for f in made.figures] == [("1400000", Unit.REQUESTS_PER_MINUTE)]
    again = {"version": "4", "alerts": [{**WEBHOOK["alerts"][0], "status": "firing"}]}  # type: ignore[dict-item,index]  # a dict of mixed values
    (open_,) = alerts(again, system="健康码")
    id = register.signal(made, now=NOW)
    assert register.signal(open_, now=NOW) == id
    (figure,) = register.work(register.member("ed"), id, now=NOW).record.impact
    assert not figure.what  # "requests a minute" is for people; "figure_requests_per_min" is for nobody


NO_WEBHOOKS: list[object] = [
    None,
    {},
    {"version": "3"},
    {"version": "4", "alerts": "x"},
    {"version": "4", "alerts": [1]},
    {"version": "4", "alerts": [{"fingerprint": "zz"}]},
    {"version": "4", "alerts": [{"fingerprint": "a" * 16, "startsAt": "now"}]},
    *(
        {"version": "4", "alerts": [{"fingerprint": "a" * 16, "startsAt": "2000-01-01T00:00:00Z", **wrong}]}
        for wrong in (
            {"labels": 0.0},
            {"labels": {"alertname": 7}},
            {"annotations": ""},
            {"annotations": None},
            {"status": 0.0},
            {"endsAt": 7},
        )
    ),
]


@pytest.mark.parametrize("webhook", NO_WEBHOOKS)
def test_another_webhook_is_refused(webhook: object) -> None:
    with pytest.raises(Refused):
        alerts(webhook, system="x")


def test_a_picture_is_kept_by_its_digest_and_shown_to_whom_the_record_shows_it(register: Register) -> None:
    ed = register.member("ed")
    content = b"\x89PNG\r\n\x1a\n" + bytes(100)
    digest = register.keep_picture(ed, content, "image/png")
    assert register.keep_picture(ed, content, "image/png") == digest
    picture = {"digest": digest, "type": "image/png", "alt": {"en": "a chart"}}
    published(register, record(picture=picture, levels={"picture": "member"}))
    assert register.picture("attack", None, now=NOW) is None
    assert register.picture("attack", register.member("rea"), now=NOW) == ("image/png", content)
    for bad, type_ in (
        (b"<svg/>", "image/svg+xml"),
        (b"GIF89a", "image/png"),
        (b"RIFF0000WAVE", "image/webp"),
        (bytes(5 * 2**20), "image/png"),
    ):
        with pytest.raises(Refused):
            register.keep_picture(ed, bad, type_)


def test_the_founding_records_are_published_by_two_and_say_what_is_for_members(register: Register) -> None:
    ann = register.member("ann")
    made = register.found(ann, records(), now=NOW)
    assert len(made) >= 16
    assert made[0] == FOUNDING
    seen = register.show(FOUNDING, None, now=NOW).entry.seen
    assert dict(seen.hidden) == {"motives": 2, "techniques": 1, "sources": 1}
    assert register.find(Query(words="健康"), None, now=NOW).total >= 2
    assert register.work(ann, FOUNDING, now=NOW).authors != {"ann"}
    assert register.found(ann, records(), now=NOW) == []
    assert register.check()["versions"] == len(made)


# Between signing, logging and publishing


class ShakyLog:
    """A log elsewhere: it may fail before it took an entry or after, and says its places again when asked again."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.fail = ""

    @property
    def origin(self) -> str:
        return "log.example"

    def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        if self.fail == "before":
            raise Unavailable("no answer")
        self.entries += [e for e in entries if e not in self.entries]
        if self.fail == "after":
            raise Unavailable("no answer, but it was taken")
        return [self.entries.index(e) for e in entries]


@pytest.mark.parametrize("fail", ["before", "after"])
def test_a_log_that_fails_leaves_one_signature_which_is_finished_later(register: Register, fail: str) -> None:
    log = ShakyLog()
    with open_register(register.path, log=log) as outside:
        ed, rob = outside.member("ed"), outside.member("rob")
        outside.new(ed, record(), now=NOW)
        outside.submit(ed, "attack", now=NOW)
        outside.approve(rob, "attack", edit=1, now=NOW)
        log.fail = fail
        with pytest.raises(Unavailable):
            outside.publish(rob, "attack", now=NOW)
        assert outside.find(Query(), None, now=NOW).total == 0
        with pytest.raises(Conflict):
            outside.give_back(rob, "attack", now=NOW, note="too late")
        log.fail = ""
        if fail == "before":
            assert outside.publish(rob, "attack", now=NOW + 7) == [1]
    with open_register(register.path, log=log) as again:
        assert again.find(Query(), None, now=NOW).total == 1
        assert len(log.entries) == 1
        assert again.show("attack", None, now=NOW).entry.modified == NOW  # the first signature
        assert again.recover() == []


def test_files_of_the_log_that_a_crash_kept_back_are_written_when_it_is_opened(register: Register) -> None:
    published(register, record())
    folder = register.path / "public"
    old = (folder / "checkpoint").read_bytes()
    published(register, record("second"))
    new = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(old)
    open_register(register.path).close()
    assert (folder / "checkpoint").read_bytes() == new
