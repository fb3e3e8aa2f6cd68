"""The members' desk by its forms alone: from a new draft to everybody, four eyes, and two editors at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from house import RECORD, House
from makers import canaries
from sound_html import Sound, sound

from kangma.gateway.register import editing
from kangma.incidents.form import from_json
from kangma.incidents.life import Change, Role
from kangma.incidents.record import ITEMS
from kangma.incidents.words import MOST_LANGUAGES, Words

WORK = "/members/work/an-attack"


def get(at: House, role: Role | None, address: str, status: int = 200, lang: str = "en") -> Sound:
    answer = at.client(role).get(address, headers={"accept": "text/html", "accept-language": lang})
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    return sound(answer.text)


def post(at: House, role: Role | None, address: str, sent: Any = (), status: int = 303) -> Any:
    answer = at.client(role).post(
        address, data=dict(sent), headers={"accept": "text/html", "accept-language": "en"}
    )
    assert answer.status_code == status, (answer.status_code, sound(answer.text).text[:800])
    return answer.headers["location"] if status == 303 else sound(answer.text)


def as_form(page: Sound) -> dict[str, Any]:
    """What the page's form would send as it stands, by its inputs (which a browser reads from the markup)."""
    sent: dict[str, Any] = {}
    options: dict[str, str] = {}
    for e in page.elements:
        name = e.attributes.get("name", "")
        if e.tag == "input" and e.attributes.get("type") == "checkbox":
            if "checked" in e.attributes:
                sent.setdefault(name, []).append(e.attributes["value"])
        elif e.tag == "input" and name:
            sent[name] = e.attributes.get("value", "")
        elif e.tag == "textarea":
            sent[name] = e.text.removeprefix("\n")
        elif e.tag == "select":
            options["now"] = name
        elif e.tag == "option" and "selected" in e.attributes:
            sent[options["now"]] = e.attributes["value"]
    return sent


NEW = {
    "id": "an-attack", "victim.name": "健康宝", "victim.country": "CN", "date": "2022-04-28",
    "summary.zh": "高峰时段遭到攻击",
    "summary.en": "Attacked in peak hours", "kinds": ["denial-of-service", "overload"],
    "sources[0].title": "Press conference",
    "motives[0].term": "espionage", "motives[0].level": "member", "actors[0].type": "unknown",
    "levels.techniques": "member",
    "techniques[0].id": "T1498",
}  # fmt: skip


def test_from_a_new_draft_to_everybody_by_forms(at_home: House) -> None:
    assert "No work is open" in get(at_home, Role.EDITOR, "/members").text
    get(at_home, Role.EDITOR, "/members/new")
    assert post(at_home, Role.EDITOR, "/members/new", NEW) == WORK
    assert "an-attack" in get(at_home, Role.EDITOR, "/members").text
    work = get(at_home, Role.EDITOR, WORK)
    assert "All that the draft says" in work.text
    assert "Attacked in peak hours" in work.text
    assert post(at_home, Role.EDITOR, f"{WORK}/submit", {"note": "please"}) == WORK
    assert "wrote part of it" in get(at_home, Role.EDITOR, WORK).text
    reviewed = get(at_home, Role.REVIEWER, WORK)
    assert "please" in reviewed.text
    assert "Approve edit 1" in reviewed.text
    assert post(at_home, Role.REVIEWER, f"{WORK}/approve", {"edit": "1", "note": ""}) == WORK
    assert post(at_home, Role.REVIEWER, f"{WORK}/publish") == "/incidents/an-attack"
    page = get(at_home, None, "/incidents/an-attack").text
    assert "Attacked in peak hours" in page
    assert "Espionage" not in page
    assert "T1498" not in page
    stored = at_home.register.show(
        "an-attack", at_home.caller(Role.READER), now=at_home.clock()
    ).entry.seen.record
    assert [k.value for k in stored.kinds] == ["denial-of-service", "overload"]
    assert len(stored.motives) == 1
    assert not stored.actors  # a row left as it was offered says nothing


def test_a_correction_is_an_edit_of_what_is_published(at_home: House) -> None:
    at_home.publish(RECORD)
    lacking = post(
        at_home, Role.EDITOR, f"{WORK}/correct", {"reason.zh": "有误", "reason.en": ""}, status=422
    )
    assert "in Chinese and in English" in lacking.text
    post(
        at_home, Role.EDITOR, f"{WORK}/correct", {"reason.zh": "日期有误", "reason.en": "The date was wrong"}
    )
    sent = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    assert from_json(
        editing.json_of([p for p in pairs(sent) if p[0] != "after_edit"]) | {"id": "an-attack"}
    ) == from_json(RECORD)
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", sent | {"date": "2022-04-29"}) == WORK
    work = get(at_home, Role.EDITOR, WORK)
    assert [e.text for e in work.all("del")] == ["Thursday 28 April 2022"]
    assert [e.text for e in work.all("ins")] == ["Friday 29 April 2022"]
    assert "Compared with what is published" in work.text


def inputs(groups: Any) -> Iterator[editing.Box]:
    for item in groups:
        yield from inputs(item.items) if isinstance(item, editing.Group) else (item,)


def test_the_fullest_record_fits_its_own_form() -> None:
    """As many items as a record may have, each in as many languages: what can be written can be edited."""
    tags = [f"{a}{b}" for a in "ab" for b in "abcdefghij"]
    assert len(tags) == MOST_LANGUAGES

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(value[0])] * (ITEMS if isinstance(value[0], dict) else 1)
        if isinstance(value, dict):
            return (
                dict.fromkeys(tags, "x")
                if set(value) == {"zh", "en"}
                else {k: filled(v) for k, v in value.items()}
            )
        return value

    groups = editing.form_of(filled(canaries()), "en", with_id=True)
    marks = 2 * ITEMS * len(_lists())  # of each row: that it was there, that it is to stay
    assert 15_000 < sum(1 for _ in inputs(groups)) + marks <= editing.MOST_FIELDS


def _lists() -> list[str]:
    return [
        name for name, value in canaries().items() if isinstance(value, list) and isinstance(value[0], dict)
    ]


def pairs(sent: dict[str, Any]) -> list[tuple[str, str]]:
    return [(n, v) for n, value in sent.items() for v in (value if isinstance(value, list) else [value])]


def test_the_second_to_save_gets_the_difference_and_keeps_every_word(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    begun = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    post(
        at_home,
        Role.REVIEWER,
        f"{WORK}/edit",
        begun | {"summary.en": "Attacked at night", "date": "2022-04-27"},
    )
    mine = begun | {"description.en": "All that I wrote\nin two lines", "victim.names.en": "Health Kit"}
    page = post(at_home, Role.EDITOR, f"{WORK}/edit", mine, status=409)
    assert "somebody saved after you began" in page.text
    assert "Attacked at night" in [e.text for e in page.all("ins")]
    kept = as_form(page)
    assert kept["description.en"] == "All that I wrote\nin two lines"
    assert kept["victim.names.en"] == "Health Kit"
    assert kept["after_edit"] == "2"
    assert "edit 2" in get(at_home, Role.EDITOR, WORK).text.casefold()  # nothing was saved of it
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", kept | {"date": "2022-04-27"}) == WORK
    found = at_home.register.work(at_home.caller(Role.EDITOR), "an-attack", now=at_home.clock())
    assert found.edit == 3
    assert found.record.description.get("en") == "All that I wrote\nin two lines"


def test_two_records_of_one_incident_are_merged_by_a_person(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    other = {"id": "a-draft", "victim": {"name": "健康宝"}, "date": "2022-04-28", "levels": {"sources": "member"},
             "summary": {"en": "Another"}, "sources": [{"title": "A second source"}],
             "description": {"en": "What only the other says"}}  # fmt: skip
    at_home.register.new(at_home.caller(Role.REVIEWER), from_json(other), now=at_home.clock())
    links = [e.attributes["href"] for e in get(at_home, Role.EDITOR, WORK).all("a")]
    assert "/members/work/a-draft" in links  # where a draft can be read; its public address is none yet
    assert f"{WORK}/edit?with=a-draft" in links
    page = get(at_home, Role.EDITOR, f"{WORK}/edit?with=a-draft")
    assert "not saved yet" in page.text
    assert "this draft’s own stands: Victim, Summary." in page.text
    sent = as_form(page)
    assert sent["summary.en"] == "Attacked in peak hours"
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", sent) == WORK
    merged = at_home.register.work(at_home.caller(Role.EDITOR), "an-attack", now=at_home.clock()).record
    assert [s.title for s in merged.sources] == ["Press conference", "A second source"]
    assert merged.description.get("en") == "What only the other says"
    assert merged.level("sources").value == "member"  # what was for members of either stays so
    get(at_home, Role.EDITOR, f"{WORK}/edit?with=an-attack", status=422)
    get(at_home, Role.EDITOR, f"{WORK}/edit?with=nobody", status=404)
    get(at_home, Role.READER, f"{WORK}/edit?with=a-draft", status=403)


def test_of_a_published_record_counts_what_is_published(at_home: House) -> None:
    """A correction that was given up says nothing to whoever merges."""
    at_home.publish(RECORD)
    ed, now = at_home.caller(Role.EDITOR), at_home.clock()
    began = at_home.register.reopen(
        ed, "an-attack", Change.CORRECTION, Words.of({"zh": "改", "en": "Mended"}), now=now
    )
    given_up = from_json({**RECORD, "description": {"en": "Given up"}})
    at_home.register.edit(ed, given_up, after_edit=began, now=now)
    at_home.register.discard(ed, "an-attack", now=now)
    at_home.register.new(ed, from_json({"id": "b", "date": "2022-04"}), now=now)
    answer = at_home.client(Role.EDITOR).get("/v1/drafts/b/merged?with=an-attack").json()
    assert "description" not in answer["record"]
    assert answer["record"]["victim"]["name"] == "健康宝"
    assert (answer["edit"], answer["differ"]) == (1, ["date"])
    assert at_home.client(Role.EDITOR).get("/v1/drafts/an-attack/merged?with=b").status_code == 409


def test_a_draft_that_was_handed_on_meanwhile_is_not_saved_and_what_was_written_not_lost(
    at_home: House,
) -> None:
    at_home.register.new(at_home.caller(Role.EDITOR), from_json(RECORD), now=at_home.clock())
    mine = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    mine["summary.en"] = "Nobody else has written this sentence."
    at_home.register.submit(at_home.caller(Role.EDITOR), RECORD["id"], now=at_home.clock())
    page = post(at_home, Role.EDITOR, f"{WORK}/edit", mine, status=409)
    assert "was handed on" in page.text
    assert as_form(page)["summary.en"] == "Nobody else has written this sentence."


def test_what_does_not_fit_is_not_saved_and_not_lost(at_home: House) -> None:
    page = post(
        at_home,
        Role.EDITOR,
        "/members/new",
        NEW | {"date": "someday", "sources[0].url": "javascript:alert(1)"},
        status=422,
    )
    assert "Not saved: 2 places do not fit" in page.text
    assert as_form(page)["date"] == "someday"
    assert as_form(page)["sources[0].url"] == "javascript:alert(1)"
    assert {e.attributes["id"] for e in page.elements if e.attributes.get("aria-invalid")} == {
        "f-date",
        "f-sources-0-url",
    }
    assert at_home.register.drafts(at_home.caller(Role.EDITOR)) == []
    at_home.publish(RECORD)
    taken = post(at_home, Role.EDITOR, "/members/new", NEW, status=409)
    assert "there is a record with this id" in taken.text


def raw(sent: dict[str, Any]) -> bytes:
    return urlencode(pairs(sent)).encode()


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (b"&description.en=Peak%FFhours", 422, "UTF-8"),
        (
            b"&description.en=Peak%FFhours" + b"&kinds=other" * editing.MOST_FIELDS,
            422,
            "at most 30000 inputs",
        ),
        (b"&description.en=Peak%FFhours" + b"&kinds=other" * 2**20, 413, "at most 12582912 bytes"),
    ],
    ids=["not UTF-8", "too many inputs", "too large"],
)
@pytest.mark.parametrize("there", [False, True], ids=["new", "edit"])
def test_a_form_that_is_refused_whole_comes_back_with_what_was_written(
    at_home: House, more: bytes, status: int, told: str, there: bool
) -> None:
    address, sent = "/members/new", dict(NEW)
    if there:
        post(at_home, Role.EDITOR, "/members/new", NEW)
        address, sent = f"{WORK}/edit", as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
        del sent["description.en"]
    answer = at_home.client(Role.EDITOR).post(
        address,
        content=raw(sent | {"summary.en": "An afternoon's work"}) + more,
        headers={
            "content-type": "application/x-www-form-urlencoded",
            "accept": "text/html",
            "accept-language": "en",
        },
    )
    assert answer.status_code == status
    page = sound(answer.text)
    assert "Not saved" in page.text
    assert told in page.text
    back = as_form(page)
    assert back["summary.en"] == "An afternoon's work"
    assert back["summary.zh"] == "高峰时段遭到攻击"
    assert back["description.en"] == "Peak\ufffdhours"
    assert back.get("after_edit") == ("1" if there else None)
    drafts = at_home.register.drafts(at_home.caller(Role.EDITOR))
    assert [d["edit"] for d in drafts] == ([1] if there else [])


def test_what_a_browser_cuts_off_is_still_too_long_to_be_saved(at_home: House) -> None:
    """Nobody loses the end of a text without being told, and nobody sends more than is read."""
    page = get(at_home, Role.EDITOR, "/members/new")
    rooms = {
        e.attributes["name"]: int(e.attributes["maxlength"])
        for e in page.elements
        if e.tag in ("input", "textarea")
        and e.attributes.get("type", "text") == "text"
        and "name" in e.attributes
    }
    assert rooms["description.en"] == 160_000
    assert len(rooms) > 50
    full = {name: "x" * room for name, room in rooms.items()}
    back = post(at_home, Role.EDITOR, "/members/new", NEW | full, status=422)
    marked = {e.attributes["name"] for e in back.elements if e.attributes.get("aria-invalid")}
    assert marked == set(rooms)
    assert 9 * sum(rooms.values()) < 12 * 2**20  # of each letter %E5%81%A5


def test_whoever_is_signed_out_while_writing_sends_it_again_by_reloading(at_home: House) -> None:
    page = post(at_home, None, "/members/new", NEW, status=401)
    assert "reload this page: it is sent once more" in page.text
    (link,) = [e for e in page.all("a") if e.attributes.get("target") == "_blank"]
    assert link.attributes["href"] == "/members"
    assert "sent once more" not in get(at_home, None, "/members/new", status=401).text


def test_a_word_to_others_is_not_lost_when_what_it_was_about_changed(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    sent = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    post(at_home, Role.EDITOR, f"{WORK}/edit", sent | {"date": "2022-04-29"})
    post(at_home, Role.EDITOR, f"{WORK}/submit")
    note = "I rang them up: it is true."
    page = post(at_home, Role.REVIEWER, f"{WORK}/approve", {"edit": "1", "note": note}, status=409)
    assert as_form_of(page, "approve")["note"] == note
    assert as_form_of(page, "return")["note"] == ""


def as_form_of(page: Sound, act: str) -> dict[str, str]:
    return {
        e.attributes["name"]: e.attributes.get("value", "")
        for e in page.all("input")
        if e.attributes.get("id", "").endswith(f"-{act}")
    }


def test_review_says_what_is_lacking(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", {"id": "an-attack", "victim.name": "x"})
    page = post(at_home, Role.EDITOR, f"{WORK}/submit", status=422)
    assert "Still wanting" in page.text
    assert "Summary › Chinese: a sentence in Chinese and in English" in page.text


def test_an_approval_is_of_the_edit_that_was_read(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    post(at_home, Role.EDITOR, f"{WORK}/submit")
    post(at_home, Role.REVIEWER, f"{WORK}/return", {"note": "The date?"})
    sent = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    post(at_home, Role.EDITOR, f"{WORK}/edit", sent | {"date": "2022-04-29"})
    post(at_home, Role.EDITOR, f"{WORK}/submit")
    page = post(at_home, Role.REVIEWER, f"{WORK}/approve", {"edit": "1"}, status=409)
    assert "changed after you read it" in page.text
    assert "Friday 29 April 2022" in [e.text for e in page.all("ins")]
    assert "The date?" in page.text


@pytest.mark.parametrize(
    ("role", "address", "status"),
    [
        (None, "/members/new", 401), (None, WORK, 401), (None, f"{WORK}/edit", 401), (Role.READER, "/members/new", 403),
        (Role.READER, WORK, 403), (Role.EDITOR, "/members/work/nothing", 404),
    ],
)  # fmt: skip
def test_who_may_not_is_told_so_on_a_page(
    at_home: House, role: Role | None, address: str, status: int
) -> None:
    get(at_home, role, address, status=status)


@pytest.mark.parametrize("act", ["submit", "return", "approve", "discard", "publish", "correct", "withdraw"])
@pytest.mark.parametrize("role", [None, Role.READER])
def test_nobody_acts_without_the_right(at_home: House, role: Role | None, act: str) -> None:
    at_home.publish(RECORD)
    sent = {"note": "x", "edit": "1", "reason.zh": "x", "reason.en": "x"}
    post(at_home, role, f"{WORK}/{act}", sent, status=403 if role else 401)


def test_who_wrote_it_does_not_approve_it_however_they_ask(at_home: House) -> None:
    post(at_home, Role.REVIEWER, "/members/new", NEW)
    post(at_home, Role.REVIEWER, f"{WORK}/submit")
    assert "Approve" not in [e.text.strip()[:7] for e in get(at_home, Role.REVIEWER, WORK).all("button")]
    post(at_home, Role.REVIEWER, f"{WORK}/approve", {"edit": "1"}, status=403)


@pytest.mark.parametrize("note", ["", "  \n "])
def test_a_draft_is_not_returned_without_a_word_why(at_home: House, note: str) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    post(at_home, Role.EDITOR, f"{WORK}/submit")
    page = post(at_home, Role.REVIEWER, f"{WORK}/return", {"note": note}, status=422)
    assert "Note: why, for its editors" in page.text
    assert "Approve edit 1" in page.text  # it is in review as before
    told = at_home.client(Role.REVIEWER).post("/v1/drafts/an-attack/return", json={"note": note})
    assert told.status_code == 422
    assert post(at_home, Role.REVIEWER, f"{WORK}/return", {"note": "The date?"}) == WORK


def test_a_discarded_draft_is_off_the_desk(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    assert post(at_home, Role.EDITOR, f"{WORK}/discard", {"note": ""}) == "/members"
    assert "No work is open" in get(at_home, Role.EDITOR, "/members").text


def test_a_form_from_another_site_changes_nothing(at_home: House) -> None:
    answer = at_home.client(Role.EDITOR).post(
        "/members/new", data=NEW, headers={"sec-fetch-site": "cross-site", "accept": "text/html"}
    )
    assert answer.status_code == 403
    assert at_home.register.drafts(at_home.caller(Role.EDITOR)) == []


@pytest.mark.parametrize(
    "body", [b"\xff=\xff", b"a=%ff", b"&".join(b"a=1" for _ in range(7_000)), b"after_edit=1&x=2"]
)
def test_bodies_that_are_no_form_of_ours_are_refused(at_home: House, body: bytes) -> None:
    answer = at_home.client(Role.EDITOR).post(
        "/members/new",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "text/html"},
    )
    assert 400 <= answer.status_code < 500
    sound(answer.text)
    assert at_home.client(Role.EDITOR).post("/members/new", json={}).status_code == 415


def test_a_draft_may_be_about_what_is_there_already(at_home: House) -> None:
    at_home.publish(RECORD)
    post(at_home, Role.EDITOR, "/members/new", NEW | {"id": "the-same", "date": "2022-04-29"})
    page = get(at_home, Role.EDITOR, "/members/work/the-same")
    assert "may be a record of the same incident" in page.text


def test_the_sign_in_page_has_what_the_script_looks_for(at_home: House) -> None:
    page = get(at_home, None, "/members", lang="zh")
    hooks = {name for e in page.elements for name in e.attributes if name.startswith("data-")}
    assert hooks == {
        "data-enrol",
        "data-signin",
        "data-said",
        "data-working",
        "data-done",
        "data-refused",
        "data-unsupported",
    }
    assert [e.attributes["src"] for e in page.all("script")] == ["/shipped/members.js"]
    signed_in = get(at_home, Role.READER, "/members")
    assert not signed_in.all("script")
    assert any(e.attributes.get("action") == "/members/sign-out" for e in signed_in.all("form"))
    assert re.search("Account rea .*Reader", signed_in.text)


# What a correction hides


def reopened(at: House) -> dict[str, Any]:
    """A correction of a published record, and what its form would send."""
    at.publish(RECORD | {"motives": [{"term": "fun"}, {"term": "espionage", "level": "member"}]})
    post(at, Role.EDITOR, f"{WORK}/correct", {"reason.zh": "有误", "reason.en": "A mistake"})
    return as_form(get(at, Role.EDITOR, f"{WORK}/edit"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"levels.summary": "member"}, "Summary"), ({"levels.sources": "member"}, "Sources"),
        ({"levels.kinds": "member"}, "Kinds"),
        ({"motives[0].level": "member"}, "Motives"), ({"levels.motives": "member"}, "Motives"),
        ({"motives[0].level": "member", "motives[0].confidence": "low"}, "Motives"),
    ],
)  # fmt: skip
def test_a_correction_that_hides_what_was_public_is_asked_about(
    at_home: House, change: dict[str, str], field: str
) -> None:
    """An editor who believes that marking it for members takes it back is told that it does not."""
    sent = reopened(at_home)
    page = post(at_home, Role.EDITOR, f"{WORK}/edit", sent | change, status=422)
    assert "Older versions stay readable for everybody" in page.text
    assert f"{field} ." in page.text or f"{field}." in page.text
    kept = as_form(page)
    assert all(kept[name] == value for name, value in change.items())
    assert at_home.register.standing(at_home.caller(Role.EDITOR), "an-attack").edit == 2  # nothing was saved
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", kept | {"known": "lowered"}) == WORK
    for address in (WORK, f"{WORK}/edit"):
        assert "keeps for members what everybody could read" in get(at_home, Role.EDITOR, address).text
    work = get(at_home, Role.EDITOR, WORK)
    assert "member" not in {
        e.text.strip() for e in work.all("ins")
    }  # said in words, whichever field it is of
    assert "Correction" in work.text
    assert "keeps for members" in get(at_home, Role.REVIEWER, WORK).text


@pytest.mark.parametrize(
    "change",
    [
        {}, {"date": "2022-04-29"}, {"motives[1].level": "public"}, {"motives[1].confidence": "high"},
        {"description.en": "New, for members from the start", "levels.description": "member"},
        {"summary.en": "Other words"},
    ],
)  # fmt: skip
def test_a_correction_that_hides_nothing_is_saved_at_once(at_home: House, change: dict[str, str]) -> None:
    sent = reopened(at_home)
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", sent | change) == WORK
    assert "what everybody could read" not in get(at_home, Role.EDITOR, WORK).text


def test_a_draft_that_was_never_published_hides_nothing(at_home: House) -> None:
    post(at_home, Role.EDITOR, "/members/new", NEW)
    sent = as_form(get(at_home, Role.EDITOR, f"{WORK}/edit"))
    assert post(at_home, Role.EDITOR, f"{WORK}/edit", sent | {"levels.summary": "member"}) == WORK
