"""What the API promises: from draft to everybody, two editors at once, import, export, checking by a stranger."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from typing import Any

import pytest
from house import NOW, RECORD, House
from in_person import SAME, signed_in
from photographs import photograph

from kangma.gateway.register.pictures import drawn_anew
from kangma.incidents import statement
from kangma.incidents.form import from_json
from kangma.incidents.life import Right, Role
from kangma.signing.keys import Algorithm, PublicKey
from kangma.store.register import NoRecord
from kangma.translog.checkpoint import open_checkpoint
from kangma.translog.fsck import fsck


def drafted(house: House, record: dict[str, Any] = RECORD) -> Any:
    made = house.client(Role.EDITOR).post("/v1/drafts", json=record)
    assert made.status_code == 201, made.text
    return made


def out(house: House, record: dict[str, Any] = RECORD) -> None:
    """Published over HTTP."""
    drafted(house, record)
    path = f"/v1/drafts/{record['id']}"
    ed, rob = house.client(Role.EDITOR), house.client(Role.REVIEWER)
    for done in (
        ed.post(f"{path}/submit"),
        rob.post(f"{path}/approve", json={"edit": 1}),
        rob.post(f"{path}/publish"),
    ):
        assert done.status_code == 200, done.text


# A life


def test_a_record_goes_from_draft_to_everybody(at_home: House) -> None:
    made = drafted(at_home)
    assert made.headers["location"] == "/v1/drafts/an-attack"
    assert made.headers["etag"] == '"1"'
    anybody = at_home.client()
    assert anybody.get("/v1/incidents/an-attack").status_code == 404
    ed, rob = at_home.client(Role.EDITOR), at_home.client(Role.REVIEWER)
    assert ed.post("/v1/drafts/an-attack/submit", json={"note": "please"}).json()["state"] == "in-review"
    assert ed.post("/v1/drafts/an-attack/approve", json={"edit": 1}).status_code == 403
    back = rob.post("/v1/drafts/an-attack/return", json={"note": "which hours?"})
    assert back.json()["state"] == "draft"
    corrected = {**RECORD, "location": {"country": "CN"}}
    saved = ed.put("/v1/drafts/an-attack", json=corrected, headers={"If-Match": '"1"'})
    assert saved.status_code == 200
    assert saved.json()["edit"] == 2
    assert ed.post("/v1/drafts/an-attack/submit").status_code == 200
    changes = rob.get("/v1/drafts/an-attack/difference").json()["difference"]
    assert {"path": "location.country", "before": None, "after": "CN"} in changes
    assert rob.post("/v1/drafts/an-attack/approve", json={"edit": 1}).status_code == 409
    assert rob.post("/v1/drafts/an-attack/approve", json={"edit": 2}).status_code == 200
    published = rob.post("/v1/drafts/an-attack/publish").json()
    assert published == {"id": "an-attack", "version": 1, "log_index": 0}
    shown = anybody.get("/v1/incidents/an-attack").json()
    assert shown["for_members"] == {"motives": 1, "techniques": 1}
    assert shown["record"]["location"] == {"country": "CN"}
    work = ed.get("/v1/drafts/an-attack").json()
    assert [a["what"] for a in work["acts"]] == [
        "open", "submit", "return", "edit", "submit", "approve", "publish",
    ]  # fmt: skip
    assert work["acts"][2]["note"] == "which hours?"


@pytest.mark.parametrize("edit", [2**53 + 1, 2**63, 101655075050774346072064])
def test_an_edit_of_a_number_that_cannot_be_is_refused(at_home: House, edit: int) -> None:
    """Found by asking every route at length: it was our failure, 500."""
    assert at_home.client(Role.EDITOR).post("/v1/drafts", json=RECORD).status_code == 201
    told = at_home.client(Role.REVIEWER).post("/v1/drafts/an-attack/approve", json={"edit": edit})
    assert told.status_code == 422
    with pytest.raises(NoRecord):
        at_home.register.approve(at_home.caller(Role.REVIEWER), "an-attack", edit=edit, now=at_home.clock())


def test_nobody_approves_what_they_wrote(at_home: House) -> None:
    rob = at_home.client(Role.REVIEWER)
    assert rob.post("/v1/drafts", json=RECORD).status_code == 201
    assert rob.post("/v1/drafts/an-attack/submit").status_code == 200
    refused = rob.post("/v1/drafts/an-attack/approve", json={"edit": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "same_officer")


def test_a_correction_and_a_withdrawal_are_new_versions(at_home: House) -> None:
    out(at_home)
    ed, rob, anybody = at_home.client(Role.EDITOR), at_home.client(Role.REVIEWER), at_home.client()
    why = {"zh": "日期有误", "en": "The date was wrong"}
    made = ed.post("/v1/incidents/an-attack/corrections", json=why)
    assert (made.status_code, made.headers["etag"]) == (201, '"2"')
    new = {**RECORD, "date": "2022-04-29", "motives": [{"term": "financial", "level": "member"}]}
    assert ed.put("/v1/drafts/an-attack?after_edit=2", json=new).status_code == 200
    for done in (
        ed.post("/v1/drafts/an-attack/submit"),
        rob.post("/v1/drafts/an-attack/approve", json={"edit": 3}),
        rob.post("/v1/drafts/an-attack/publish"),
    ):
        assert done.status_code == 200
    assert anybody.get("/v1/incidents/an-attack").json()["record"]["date"] == "2022-04-29"
    assert anybody.get("/v1/incidents/an-attack/versions/1").json()["record"]["date"] == "2022-04-28"
    for_all = anybody.get("/v1/incidents/an-attack/difference?from=1&to=2").json()["difference"]
    assert for_all == [{"path": "date", "before": "2022-04-28", "after": "2022-04-29"}]
    for_members = at_home.client(Role.READER).get("/v1/incidents/an-attack/difference?from=1&to=2").json()
    assert {"path": "motives[0].term", "before": "espionage", "after": "financial"} in for_members[
        "difference"
    ]
    history = anybody.get("/v1/incidents/an-attack/versions").json()["versions"]
    assert [(v["version"], v["change"], v["reason"]) for v in history] == [
        (1, "first", {}), (2, "correction", why),
    ]  # fmt: skip
    assert ed.post("/v1/incidents/an-attack/withdrawals", json=why).status_code == 201
    assert ed.post("/v1/drafts/an-attack/discard").json()["state"] == "published"


def test_what_is_lacking_is_named_before_review(at_home: House) -> None:
    made = drafted(at_home, {"id": "thin"})
    assert {f["path"] for f in made.json()["lacking"]} == {
        "victim.name", "date", "summary.zh", "summary.en", "sources",
    }  # fmt: skip
    refused = at_home.client(Role.EDITOR).post("/v1/drafts/thin/submit")
    assert refused.status_code == 422
    assert {f["code"] for f in refused.json()["faults"]} == {"missing_value"}


# Two editors


def test_the_second_editor_gets_the_difference_and_loses_nothing(at_home: House) -> None:
    drafted(at_home)
    ed, rob = at_home.client(Role.EDITOR), at_home.client(Role.REVIEWER)
    first = {**RECORD, "summary": {"zh": "甲", "en": "by the first"}}
    second = {**RECORD, "summary": {"zh": "乙", "en": "by the second"}}
    assert ed.put("/v1/drafts/an-attack", json=first, headers={"If-Match": '"1"'}).status_code == 200
    late = rob.put("/v1/drafts/an-attack", json=second, headers={"If-Match": '"1"'})
    assert late.status_code == 409
    told = late.json()
    assert (told["code"], told["edit"]) == ("outdated", 2)
    assert {"path": "summary.en", "before": "Attacked in peak hours", "after": "by the first"} in told[
        "difference"
    ]
    assert ed.get("/v1/drafts/an-attack").json()["record"]["summary"]["en"] == "by the first"
    assert rob.put("/v1/drafts/an-attack", json=second, headers={"If-Match": '"2"'}).json()["edit"] == 3


def test_a_save_that_names_no_edit_is_not_taken(at_home: House) -> None:
    drafted(at_home)
    ed = at_home.client(Role.EDITOR)
    assert ed.put("/v1/drafts/an-attack", json=RECORD).status_code == 428
    assert ed.put("/v1/drafts/an-attack", json=RECORD, headers={"If-Match": "*"}).status_code == 400
    other = ed.put("/v1/drafts/another", json=RECORD, headers={"If-Match": '"1"'})
    assert other.status_code == 422


def test_an_id_is_taken_once(at_home: House) -> None:
    drafted(at_home)
    assert at_home.client(Role.EDITOR).post("/v1/drafts", json=RECORD).status_code == 409


def test_possible_duplicates_are_suggested(at_home: House) -> None:
    out(at_home)
    twin = {**RECORD, "id": "the-same", "date": "2022-04-29"}
    made = drafted(at_home, twin).json()
    assert [s["id"] for s in made["perhaps_the_same"]] == ["an-attack"]
    ed = at_home.client(Role.EDITOR)
    assert ed.get("/v1/drafts/the-same/duplicates").json()["perhaps_the_same"][0]["id"] == "an-attack"
    asked = ed.post("/v1/duplicates", json={**twin, "id": "not-there"}).json()["perhaps_the_same"]
    assert {s["id"] for s in asked} == {"an-attack", "the-same"}


# Finding


def test_strangers_find_by_words_and_filters_and_pages(at_home: House) -> None:
    for n in range(5):
        at_home.publish(
            {**RECORD, "id": f"r{n}", "date": f"2022-04-0{n + 1}", "kinds": ["malware"] if n else []}
        )
    anybody = at_home.client()
    first = anybody.get("/v1/incidents?size=2").json()
    assert (first["total"], [c["id"] for c in first["incidents"]]) == (5, ["r4", "r3"])
    second = anybody.get("/v1/incidents", params={"size": 2, "after": first["next"]}).json()
    assert [c["id"] for c in second["incidents"]] == ["r2", "r1"]
    assert anybody.get("/v1/incidents?q=健康&kind=malware&country=CN,DE").json()["total"] == 4
    assert anybody.get("/v1/incidents?since=2022-04-04").json()["total"] == 2
    assert anybody.get("/v1/incidents?sort=oldest&size=1").json()["incidents"][0]["id"] == "r0"
    # What is for members is no word, no filter and no count of a stranger's.
    assert anybody.get("/v1/incidents?motive=espionage").json()["total"] == 0
    assert anybody.get("/v1/incidents?q=espionage").json()["total"] == 0
    assert anybody.get("/v1/incidents").json()["counts"]["motive"] == {}
    assert at_home.client(Role.READER).get("/v1/incidents?motive=espionage").json()["total"] == 5


@pytest.mark.parametrize(
    ("query", "where"),
    [("sise=3", "sise"), ("size=3&size=4", "size"), ("q=a&q=b", "q"), ("since=yesterday", "since"), ("x%0d%0a=1", "x??")],
)  # fmt: skip
def test_an_address_says_each_thing_once_and_nothing_unknown(at_home: House, query: str, where: str) -> None:
    told = at_home.client().get(f"/v1/incidents?{query}")
    assert told.status_code == 400
    assert told.json()["where"] == where


# Checking by a stranger, with nothing but HTTP


def test_a_stranger_holds_a_version_against_the_log(at_home: House) -> None:
    out(at_home)
    at_home.publish({**RECORD, "id": "another"})
    anybody = at_home.client()
    told = anybody.get("/v1/key").json()
    key = PublicKey(Algorithm.EDDSA, bytes.fromhex(told["key"]))
    files = lambda name: anybody.get(f"/log/{name}").raise_for_status().content  # noqa: E731
    checkpoint = open_checkpoint(files("checkpoint"), told["origin"], key)
    assert fsck(files, checkpoint) is None
    shown = anybody.get("/v1/incidents/another").json()
    signed = anybody.get("/v1/incidents/another/versions/1/signed").content
    assert signed.hex() == shown["signed"]
    said = statement.verify(signed, key)
    statement.check(said, from_json(shown["record"]))
    assert shown["log_index"] == 1
    assert said.as_json() == shown["statement"]
    assert "salt" not in shown
    for_members = at_home.client(Role.READER).get("/v1/incidents/another").json()
    statement.check(said, from_json(for_members["record"]), bytes.fromhex(for_members["salt"]))


# In and out


@pytest.mark.parametrize("form", ["json", "stix", "veris", "csv", "parquet"])
def test_what_is_exported_comes_back_in(at_home: House, form: str) -> None:
    out(at_home)
    for_members = at_home.client(Role.READER).get(f"/v1/export?form={form}")
    for_all = at_home.client().get(f"/v1/export?form={form}")
    assert for_members.status_code == for_all.status_code == 200
    assert b"espionage" in for_members.content.lower() or form == "parquet"
    assert b"espionage" not in for_all.content.lower()
    media = for_all.headers["content-type"].partition(";")[0]
    report = at_home.client(Role.EDITOR).post(
        f"/v1/import?form={form}", content=for_members.content, headers={"content-type": media}
    )
    assert report.status_code == 200, report.text
    assert [r["faults"][0]["code"] for r in report.json()["refused"]] == ["duplicate_id"]


def test_an_import_tells_what_it_did_not_take(at_home: House) -> None:
    sent = {"format": "kangma-incidents/1", "incidents": [
        {"record": {**RECORD, "id": "one"}, "mood": "good"},
        {"record": {**RECORD, "id": "TWO"}},
        {"record": {**RECORD, "id": "one"}},
    ]}  # fmt: skip
    report = at_home.client(Role.EDITOR).post("/v1/import?form=json", json=sent).json()
    assert report["opened"] == ["one"]
    assert [(r["where"], r["faults"][0]["code"]) for r in report["refused"]] == [
        ("incidents[1]", "bad_value"), ("incidents[2]", "duplicate_id"),
    ]  # fmt: skip
    assert report["not_mapped"] == [{"where": "incidents[0].mood", "what": "no place for it"}]


def test_one_record_comes_in_every_form(at_home: House) -> None:
    out(at_home)
    anybody = at_home.client()
    for ending, mark in (
        ("json", b"kangma-incidents/1"),
        ("stix", b'"bundle"'),
        ("veris", b"schema_version"),
    ):
        got = anybody.get(f"/incidents/an-attack.{ending}")
        assert got.status_code == 200
        assert mark in got.content
        assert b"espionage" not in got.content.lower()
    assert anybody.get("/incidents/nothing.json").status_code == 404
    rows = list(csv.DictReader(io.StringIO(anybody.get("/v1/export?form=csv").text)))
    assert len(rows) == 1


def test_feeds_are_of_what_strangers_see_whoever_asks(at_home: House) -> None:
    out(at_home)
    for role in (None, Role.ADMINISTRATOR):
        client = at_home.client(role)
        atom, feed = client.get("/incidents.atom?lang=zh"), client.get("/incidents.json")
        assert "健康宝" in atom.text
        assert "Health Kit" in feed.text
        assert "espionage" not in (atom.text + feed.text).lower()
    assert json.loads(feed.text)["feed_url"].endswith("/incidents.json?lang=en")


def test_pictures_are_kept_and_shown_with_their_record(at_home: House) -> None:
    ed, anybody = at_home.client(Role.EDITOR), at_home.client()
    png = drawn_anew(photograph("PNG"))[1]  # as it is kept: drawn anew it is the same again
    kept = ed.post("/v1/pictures", content=png, headers={"content-type": "image/png"})
    assert kept.status_code == 201
    for bad in (b"<svg/>", b"\x89PNG\r\n\x1a\n" + bytes(20), photograph("JPEG")):
        wrong = ed.post("/v1/pictures", content=bad, headers={"content-type": "image/png"})
        assert wrong.status_code == 422
    svg = ed.post("/v1/pictures", content=b"<svg/>", headers={"content-type": "image/svg+xml"})
    assert svg.status_code == 415
    out(at_home, {**RECORD, "picture": {**kept.json(), "alt": {"en": "a chart"}}})
    out(at_home, {**RECORD, "id": "hidden", "picture": {**kept.json(), "alt": {"en": "a chart"}},
                  "levels": {"picture": "member"}})  # fmt: skip
    shown = anybody.get("/v1/incidents/an-attack/picture")
    assert (shown.content, shown.headers["content-type"]) == (png, "image/png")
    assert anybody.get("/v1/incidents/hidden/picture").status_code == 404
    assert at_home.client(Role.READER).get("/v1/incidents/hidden/picture").content == png


# Signals


SIGNAL = {
    "source": "gateway", "event": "flood-7", "kind": "denial-of-service", "system": "健康码", "title": "Flood",
    "began": "2022-04-28T08:41:00+08:00", "kept_working": ["showing codes"],
    "figures": [{"what_zh": "被拒请求", "what_en": "requests refused", "value": "1400000", "unit": "requests"}],
}  # fmt: skip
WEBHOOK = {
    "version": "4", "groupKey": "{}", "alerts": [
        {"status": "firing", "labels": {"alertname": "Flood", "kind": "denial-of-service"}, "annotations": {},
         "startsAt": "2022-04-28T00:41:00.000Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "ab" * 8},
        {"status": "resolved", "labels": {"alertname": "Slow"}, "annotations": {}, "startsAt": "2022-04-28T01:00:00Z",
         "endsAt": "2022-04-28T02:00:00Z", "fingerprint": "cd" * 8},
    ],
}  # fmt: skip


def test_a_defence_opens_one_draft_an_event_with_a_token_that_can_do_nothing_else(at_home: House) -> None:
    made = signed_in(at_home, Role.EDITOR).post(
        "/v1/tokens", json={"scopes": ["signal"], "days": 30}, headers=SAME
    )
    assert made.status_code == 201
    machine = at_home.client()
    machine.headers["authorization"] = f"Bearer {made.json()['secret']}"
    told = [machine.post("/v1/signals", json=SIGNAL).json()["drafts"] for _ in range(3)]
    assert told[0] == told[1] == told[2]
    first = machine.post("/v1/signals/alertmanager", json=WEBHOOK).json()["drafts"]
    assert first == machine.post("/v1/signals/alertmanager", json=WEBHOOK).json()["drafts"]
    assert len(set(first)) == 2
    drafts = at_home.client(Role.EDITOR).get("/v1/drafts").json()["drafts"]
    assert len(drafts) == 3
    for refused in (
        machine.get("/v1/drafts"),
        machine.post("/v1/drafts", json=RECORD),
        machine.get("/v1/accounts"),
    ):
        assert refused.status_code == 403
    assert machine.get("/v1/incidents").json()["counts"]["motive"] == {}  # it has no right to read either
    bad = machine.post("/v1/signals", json={**SIGNAL, "began": "yesterday"})
    assert (bad.status_code, bad.json()["faults"][0]["code"]) == (422, "bad_time")
    assert machine.post("/v1/signals/alertmanager", json={**WEBHOOK, "version": "5"}).status_code == 422


# Accounts and tokens


def test_accounts_and_tokens_are_made_and_closed(at_home: House) -> None:
    ann = at_home.client(Role.ADMINISTRATOR)
    made = ann.post("/v1/accounts", json={"account": "zoe", "role": "reader", "organisation": "Clinic"})
    assert made.status_code == 201
    assert made.json()["link"].startswith("https://register.example/members#invitation=")
    assert ann.post("/v1/accounts", json={"account": "zoe", "role": "reader"}).status_code == 409
    assert "zoe" in {a["account"] for a in ann.get("/v1/accounts").json()["accounts"]}
    token, secret = at_home.register.make_token(
        at_home.register.member("zoe"), "zoe", {Right.READ}, now=NOW, expires_at=NOW + 99
    )
    zoe = at_home.client()
    zoe.headers["authorization"] = f"Bearer {secret}"
    assert zoe.get("/v1/me").json() == {
        "account": "zoe", "organisation": "Clinic", "role": "reader", "rights": ["read"],
    }  # fmt: skip
    assert [t["token"] for t in zoe.get("/v1/tokens").json()["tokens"]] == [token]
    assert zoe.post("/v1/tokens", json={"scopes": ["write"]}).status_code == 403
    assert ann.post("/v1/accounts/close", json={"account": "zoe"}).status_code == 204
    assert zoe.get("/v1/me").status_code == 401
    assert zoe.get("/v1/incidents").status_code == 401  # a token that is none is never "anybody"


def test_a_token_ends(at_home: House) -> None:
    browser = signed_in(at_home, Role.READER)
    made = browser.post("/v1/tokens", json={"scopes": ["read"], "days": 1}, headers=SAME).json()
    held = at_home.client()
    held.headers["authorization"] = f"Bearer {made['secret']}"
    assert held.get("/v1/me").status_code == 200
    at_home.clock.now += 86_400
    assert held.get("/v1/me").status_code == 401
    at_home.clock.now = NOW
    assert held.delete(f"/v1/tokens/{made['token']}").status_code == 204
    assert held.get("/v1/me").status_code == 401


def test_every_look_of_a_member_is_recorded(at_home: House) -> None:
    out(at_home)
    reader, ann = at_home.client(Role.READER), at_home.client(Role.ADMINISTRATOR)
    reader.get("/v1/incidents/an-attack")
    reader.get("/v1/export")
    looks = ann.get("/v1/looks").json()["looks"]
    assert [(x["account"], x["what"]) for x in looks[:2]] == [("rea", "export"), ("rea", "show")]
    assert reader.get("/v1/looks").status_code == 403


# Bodies


@pytest.mark.parametrize(
    ("content", "media", "status", "code"),
    [
        (b"{", "application/json", 422, "unreadable"),
        (b'{"id":"a","id":"b"}', "application/json", 422, "duplicate_column"),
        (b"\xff", "application/json", 422, "not_utf8"),
        (b"[" * 100_000, "application/json", 422, "too_deep"),
        (b'{"id":"a","mood":"good"}', "application/json", 422, "unknown_column"),
        (b"id=a", "application/x-www-form-urlencoded", 415, "unknown_kind"),
        (b'{"id":"a"}', "text/plain", 415, "unknown_kind"),
        (b" " * (5 * 2**20), "application/json", 413, "too_many_bytes"),
        (b"[]", "application/json", 422, "bad_value"),
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_in_the_documented_way(
    at_home: House, content: bytes, media: str, status: int, code: str
) -> None:
    told = at_home.client(Role.EDITOR).post("/v1/drafts", content=content, headers={"content-type": media})
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert told.headers["content-type"] == "application/problem+json"


def test_a_failure_never_repeats_what_was_sent(at_home: House) -> None:
    word = "unmistakable-canary"
    ed = at_home.client(Role.EDITOR)
    for told in (
        ed.post(
            "/v1/drafts", json={**RECORD, "certainty": word, word: 1, "date": word, "summary": {word: word}}
        ),
        ed.post("/v1/accounts", json={word: word}),
        ed.post("/v1/tokens", json={"scopes": [word], word: word, "days": word}),
        ed.post("/v1/signals", json={**SIGNAL, "kind": word, "began": word, word: word}),
        ed.get(f"/v1/incidents/{word}"),
        ed.get(f"/v1/incidents?sort={word}"),
        ed.get(f"/v1/incidents?after={word}"),
        ed.get(f"/v1/incidents/a/versions/{word}"),
        ed.get("/v1/me", headers={"authorization": f"Bearer {word}"}),
        ed.request(word.upper(), "/v1/me"),
    ):
        assert 400 <= told.status_code < 500, told.text
        assert word not in told.text.lower()
        assert word not in str(told.headers).lower()
    assert word not in str(at_home.events.lines)


def test_the_database_itself_is_never_spoken_of(at_home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise sqlite3.IntegrityError("INSERT INTO looks VALUES ('secret-canary')")

    monkeypatch.setattr(type(at_home.register), "history", fails)
    told = at_home.client().get("/v1/incidents/a/versions")
    assert (told.status_code, told.json()) == (500, {"title": "Our fault", "status": 500, "code": "internal"})
    assert "canary" not in str(at_home.events.lines)
    assert (
        at_home.events.lines[-2]["why"]
        == "IntegrityError at kangma.gateway.register.api:"
        + str(at_home.events.lines[-2]["why"]).rpartition(":")[2]
    )


def test_rights_are_those_of_the_role(at_home: House) -> None:
    assert at_home.client(Role.EDITOR).get("/v1/me").json()["rights"] == sorted(
        [Right.READ, Right.WRITE, Right.SIGNAL]
    )


def test_a_program_that_may_only_review_is_told_what_became_of_it(at_home: House) -> None:
    """An answer of 403 means that nothing happened."""
    drafted(at_home)
    assert at_home.client(Role.EDITOR).post("/v1/drafts/an-attack/submit").status_code == 200
    rob = at_home.register.member("rob")
    _, token = at_home.register.make_token(
        rob, "rob", {Right.READ, Right.REVIEW}, now=NOW, expires_at=NOW + 99
    )
    program = at_home.client()
    program.headers["authorization"] = f"Bearer {token}"
    told = program.post("/v1/drafts/an-attack/approve", json={"edit": 1})
    assert (told.status_code, told.json()["state"]) == (200, "approved")
    assert program.post("/v1/drafts/an-attack/publish").status_code == 403
    assert at_home.client().get("/v1/incidents/an-attack").status_code == 404


def test_a_program_that_may_not_read_imports_nothing(at_home: House) -> None:
    ed = at_home.register.member("ed")
    _, token = at_home.register.make_token(ed, "ed", {Right.WRITE}, now=NOW, expires_at=NOW + 99)
    program = at_home.client()
    program.headers["authorization"] = f"Bearer {token}"
    told = program.post("/v1/import?form=json", json={"format": "kangma-incidents-1", "incidents": []})
    assert told.status_code == 403
    assert at_home.client(Role.EDITOR).get("/v1/drafts").json()["drafts"] == []


def test_the_last_administrator_stays(at_home: House) -> None:
    ann = at_home.client(Role.ADMINISTRATOR)
    assert ann.post("/v1/accounts/close", json={"account": "ann"}).status_code == 409
    ann.post("/v1/accounts", json={"account": "zoe", "role": "administrator", "organisation": "Clinic"})
    assert ann.post("/v1/accounts/close", json={"account": "ann"}).status_code == 204
    assert ann.get("/v1/me").status_code == 401
