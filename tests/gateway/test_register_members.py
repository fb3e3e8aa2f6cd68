"""Members by passkey: invited once, enrolled, signed in, out; and everything that is not accepted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from authenticator import BACKED_UP, ELIGIBLE, PRESENT, VERIFIED, Authenticator, b64, unb64
from fastapi.testclient import TestClient
from house import RECORD, House
from in_person import SAME, enrol, enrolled, invited, sign_in, signed_in

from kangma.errors import Refused
from kangma.incidents.life import Happening, Right, Role
from kangma.store.register_members import IDLE, LONGEST
from kangma.store.registry import as_ours


def test_a_member_enrols_a_passkey_signs_in_sees_more_and_signs_out(at_home: House) -> None:
    at_home.publish(RECORD)
    device, browser = enrolled(at_home), at_home.client()
    assert "motives" not in browser.get("/v1/incidents/an-attack").json()["record"]
    told = sign_in(browser, device)
    assert told.json()["account"] == "rea"
    cookie = told.headers["set-cookie"]
    assert cookie.startswith("__Host-kangma=")
    for word in ("Path=/", "HttpOnly", "SameSite=Strict", "Secure"):
        assert word in cookie
    assert browser.get("/v1/me").json()["account"] == "rea"
    assert browser.get("/v1/incidents/an-attack").json()["record"]["motives"] == RECORD["motives"]
    session = browser.cookies["__Host-kangma"]
    assert browser.post("/members/sign-out", headers=SAME).headers["location"] == "/members"
    assert browser.get("/v1/me").status_code == 401
    browser.cookies.set("__Host-kangma", session, domain="register.example")
    assert browser.get("/v1/me").status_code == 401  # what was copied before is over too


def test_an_editor_works_with_a_session_alone(at_home: House) -> None:
    device, browser = enrolled(at_home, Role.EDITOR), at_home.client()
    assert sign_in(browser, device).status_code == 200
    assert browser.post("/v1/drafts", json=RECORD).status_code == 403  # no word of where it came from
    assert browser.post("/v1/drafts", json=RECORD, headers=SAME).status_code == 201
    evil = {"origin": "https://evil.example"}
    assert browser.post("/v1/drafts/an-attack/submit", headers=evil).status_code == 403


def test_an_invitation_is_used_once_within_a_day_and_ends_with_the_next(at_home: House) -> None:
    first, second = invited(at_home), invited(at_home)
    anybody = at_home.client()
    assert enrol(anybody, Authenticator(), first).status_code == 401
    at_home.clock.now += 86_399
    assert enrol(anybody, Authenticator(), second).status_code == 201
    assert enrol(anybody, Authenticator(), second).status_code == 401
    third = invited(at_home)
    at_home.clock.now += 86_400
    assert enrol(anybody, Authenticator(), third).status_code == 401
    assert enrol(anybody, Authenticator(), "made-up").status_code == 401
    assert enrol(anybody, Authenticator()).status_code == 401


def test_a_signed_in_member_enrols_another_device_and_closes_the_lost_one(at_home: House) -> None:
    lost, browser = enrolled(at_home), at_home.client()
    assert sign_in(browser, lost).status_code == 200
    new = Authenticator()
    assert enrol(browser, new).status_code == 201
    other = at_home.client()
    assert sign_in(other, new).status_code == 200
    assert len(other.get("/v1/passkeys").json()["passkeys"]) == 2
    assert other.delete(f"/v1/passkeys/{lost.id.hex()}", headers=SAME).status_code == 204
    assert browser.get("/v1/me").status_code == 401
    assert sign_in(at_home.client(), lost).status_code == 401
    assert other.get("/v1/me").status_code == 200


def test_nobody_closes_anothers_passkey_but_an_administrator(at_home: House) -> None:
    theirs = enrolled(at_home, Role.READER)
    assert at_home.client(Role.EDITOR).delete(f"/v1/passkeys/{theirs.id.hex()}").status_code == 403
    assert sign_in(at_home.client(), theirs).status_code == 200
    assert at_home.client(Role.ADMINISTRATOR).delete(f"/v1/passkeys/{theirs.id.hex()}").status_code == 204
    assert sign_in(at_home.client(), theirs).status_code == 401


def test_a_token_is_no_way_to_a_passkey_and_closes_none(at_home: House) -> None:
    """Whoever finds a program's token must not become its member by it."""
    mine = enrolled(at_home, Role.EDITOR)
    ed = at_home.register.member("ed")
    for scopes in ({Right.SIGNAL}, {Right.READ, Right.WRITE, Right.SIGNAL}):
        _, token = at_home.register.make_token(
            ed, "ed", scopes, now=at_home.clock(), expires_at=at_home.clock() + 99
        )
        program = at_home.client()
        program.headers["authorization"] = f"Bearer {token}"
        assert enrol(program, Authenticator()).status_code == 401
        assert program.delete(f"/v1/passkeys/{mine.id.hex()}").status_code == 403
        assert program.post("/v1/tokens", json={"scopes": ["signal"]}).status_code == 403
    assert sign_in(at_home.client(), mine).status_code == 200


def test_nobody_holds_a_token_with_which_to_approve_in_anothers_name(at_home: House) -> None:
    ann = signed_in(at_home, Role.ADMINISTRATOR)
    for account, scope in (("rob", "review"), ("rob", "read"), ("kangma", "write")):
        told = ann.post("/v1/tokens", json={"account": account, "scopes": [scope]}, headers=SAME)
        assert told.status_code == 403, account
    told = ann.post("/v1/tokens", json={"account": "ed", "scopes": ["signal"]}, headers=SAME)
    assert told.status_code == 201


def test_a_session_ends_when_idle_and_in_any_case_and_with_the_account(at_home: House) -> None:
    device = enrolled(at_home)
    idle, busy = at_home.client(), at_home.client()
    assert sign_in(idle, device).status_code == 200
    assert sign_in(busy, device).status_code == 200
    for _ in range(LONGEST // 1_800 - 1):
        at_home.clock.now += 1_800
        assert busy.get("/v1/me").status_code == 200
    assert idle.get("/v1/me").status_code == 401
    assert LONGEST > IDLE
    at_home.clock.now += 1_800
    over = busy.get("/v1/me")
    assert over.status_code == 401
    assert "Max-Age=0" in over.headers["set-cookie"]  # and the browser forgets it
    third = at_home.client()
    assert sign_in(third, device).status_code == 200
    at_home.client(Role.ADMINISTRATOR).post("/v1/accounts/close", json={"account": "rea"})
    assert third.get("/v1/me").status_code == 401
    assert sign_in(at_home.client(), device).status_code == 401
    assert (
        at_home.client(Role.ADMINISTRATOR).post("/v1/accounts/invite", json={"account": "rea"}).status_code
        == 403
    )


def test_a_session_of_a_closed_account_shows_nothing_to_anybody(at_home: House) -> None:
    at_home.publish(RECORD)
    browser = at_home.client()
    browser.cookies.set("__Host-kangma", "made-up", domain="register.example")
    assert browser.get("/v1/incidents/an-attack").status_code == 401
    assert (
        browser.get("/v1/incidents/an-attack").status_code == 200
    )  # the answer before made the browser forget it


WRONG: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://evil.example"},
    "another site's key": {"rp": "evil.example"},
    "a subdomain": {"origin": "https://www.register.example"},
    "plain http": {"origin": "http://register.example"},
    "nobody verified": {"flags": PRESENT},
    "nobody present": {"flags": VERIFIED},
    "backed up, not eligible": {"flags": PRESENT | VERIFIED | BACKED_UP},
}


@pytest.mark.parametrize("how", WRONG)
def test_a_passkey_made_wrongly_is_not_enrolled(at_home: House, how: str) -> None:
    device = Authenticator(**{k: v for k, v in WRONG[how].items() if k != "rp"})
    device.rp = WRONG[how].get("rp", device.rp)
    assert enrol(at_home.client(), device, invited(at_home)).status_code == 401


@pytest.mark.parametrize(
    "how", [*WRONG, "another key", "another account's handle", "no handle", "eligible since"]
)
def test_a_sign_in_that_is_wrong_anywhere_is_refused_in_one_way(at_home: House, how: str) -> None:
    device, browser = enrolled(at_home), at_home.client()
    options = browser.post("/v1/sign-in/options").json()
    changed = {"rp": "register.example", **WRONG.get(how, {})}
    if how == "another key":
        changed["key"] = Authenticator().key
    if how == "another account's handle":
        changed["handle"] = at_home.register.members.handle("ed")
    if how == "eligible since":
        changed["flags"] = PRESENT | VERIFIED | ELIGIBLE
    rp = changed.pop("rp")
    wrong = replace(device, **changed)
    told = {**options, "publicKey": {**options["publicKey"], "rpId": rp}}
    wrong.rp = rp
    sent = wrong.get(told)
    if how == "no handle":
        del sent["response"]["userHandle"]
    refused = browser.post("/v1/sign-in", json={"credential": sent})
    assert (refused.status_code, refused.json()["detail"]) == (401, "this passkey was not accepted")
    assert "set-cookie" not in refused.headers


def test_a_challenge_is_ours_of_this_ceremony_in_time_and_answered_once(at_home: House) -> None:
    device, browser = enrolled(at_home), at_home.client()
    options = browser.post("/v1/sign-in/options").json()
    answer = {"credential": device.get(options)}
    assert browser.post("/v1/sign-in", json=answer).status_code == 200
    browser.cookies.clear()
    assert browser.post("/v1/sign-in", json=answer).status_code == 401  # once
    late = {"credential": device.get(browser.post("/v1/sign-in/options").json())}
    at_home.clock.now += 300
    assert browser.post("/v1/sign-in", json=late).status_code == 401
    made_up = {"publicKey": {**options["publicKey"], "challenge": b64(bytes(48))}}
    assert browser.post("/v1/sign-in", json={"credential": device.get(made_up)}).status_code == 401
    for other in (browser.post("/v1/enrolment/options", json={"invitation": invited(at_home)}).json(),):
        swapped = {"publicKey": {**options["publicKey"], "challenge": other["publicKey"]["challenge"]}}
        assert browser.post("/v1/sign-in", json={"credential": device.get(swapped)}).status_code == 401


def test_questions_of_strangers_write_nothing(at_home: House) -> None:
    file = at_home.register.path / "register.sqlite-wal"
    before = file.stat().st_size
    for _ in range(20):
        at_home.client().post("/v1/sign-in/options")
        at_home.client().post("/v1/sign-in", json={"credential": {}})
    assert file.stat().st_size == before


def test_a_counter_that_does_not_grow_is_a_copy_and_refused(at_home: House) -> None:
    device = enrolled(at_home, count=7)
    copy = replace(device)
    device.count = 8
    assert sign_in(at_home.client(), device).status_code == 200
    copy.count = 8
    assert sign_in(at_home.client(), copy).status_code == 401
    device.count = 9
    assert sign_in(at_home.client(), device).status_code == 200
    device.count = 0
    assert sign_in(at_home.client(), device).status_code == 401


def test_passkeys_that_never_count_and_that_are_backed_up_later_are_fine(at_home: House) -> None:
    device = enrolled(at_home, flags=PRESENT | VERIFIED | ELIGIBLE)
    assert sign_in(at_home.client(), device).status_code == 200
    device.flags |= BACKED_UP
    browser = at_home.client()
    assert sign_in(browser, device).status_code == 200
    assert browser.get("/v1/passkeys").json()["passkeys"][0]["backed_up"] is True


def _cut(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: {},
        lambda c: {**c, "response": {}},
        lambda c: {**c, "response": "x"},
        lambda c: {**c, "rawId": 7},
        lambda c: {**c, "id": "other"},
        lambda c: {**c, "response": {**c["response"], "clientDataJSON": b64(b"{")}},
        lambda c: {**c, "response": {**c["response"], "clientDataJSON": b64(b'"x"')}},
        lambda c: {**c, "response": {**c["response"], "authenticatorData": _cut(c["response"]["authenticatorData"])}},
        lambda c: {**c, "response": {**c["response"], "signature": b64(b"")}},
        lambda c: {**c, "response": {**c["response"], "clientDataJSON": b64(b"[" * 5_000)}},
    ],
)  # fmt: skip
def test_hostile_bytes_in_a_ceremony_are_refused_and_nothing_else(
    at_home: House, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    device, browser = enrolled(at_home), at_home.client()
    good = device.get(browser.post("/v1/sign-in/options").json())
    refused = browser.post("/v1/sign-in", json={"credential": spoil(good)})
    assert refused.status_code == 401
    assert [e for e in at_home.events.lines if e["event"] == "failed"] == []


def test_a_busy_database_is_said_to_be_busy_and_not_that_nobody_is_signed_in(
    at_home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program writes, a member who signs in must not believe that their passkey is no longer good."""
    device = enrolled(at_home)
    other = sqlite3.connect(at_home.register.path / "register.sqlite", isolation_level=None)
    sa.event.listen(
        at_home.register._engine, "begin", lambda on: on.exec_driver_sql("PRAGMA busy_timeout=50")
    )
    other.execute("BEGIN IMMEDIATE")
    told = sign_in(at_home.client(), device)
    assert (told.status_code, told.headers["retry-after"]) == (503, "2")
    other.execute("ROLLBACK")
    assert sign_in(at_home.client(), device).status_code == 200

    def busy(_: bytes) -> None:
        with as_ours():
            raise sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached")

    monkeypatch.setattr(at_home.register.members, "passkey", busy)
    assert sign_in(at_home.client(), device).status_code == 503
    other.close()


def test_what_is_kept_of_tokens_and_sessions_is_no_use_to_a_thief(at_home: House) -> None:
    device, browser, invitation = enrolled(at_home), at_home.client(), invited(at_home, Role.EDITOR)
    assert sign_in(browser, device).status_code == 200
    held = [browser.cookies["__Host-kangma"], invitation, at_home.tokens[Role.ADMINISTRATOR]]
    content = b"".join(f.read_bytes() for f in at_home.register.path.glob("register.sqlite*"))
    for secret in held:
        assert secret.encode() not in content
        assert unb64(secret.removeprefix("kmi_")) not in content
    assert str(held) not in str(at_home.events.lines)


def test_one_device_is_enrolled_once_and_named_to_the_browser(at_home: House) -> None:
    device, browser = enrolled(at_home), at_home.client()
    assert sign_in(browser, device).status_code == 200
    options = browser.post("/v1/enrolment/options", headers=SAME).json()["publicKey"]
    assert [unb64(c["id"]) for c in options["excludeCredentials"]] == [device.id]
    assert enrol(browser, device).status_code == 409
    assert b"rea" not in unb64(options["user"]["id"])  # the handle names nobody outside


# A new way into an account that has one (docs/decisions/0115)


def _two_administrators(at: House) -> tuple[TestClient, TestClient]:
    """ann and bea, each signed in, administrators for more than a day."""
    at.register.add_account(at.register.member("ann"), "bea", "Songyuli", Role.ADMINISTRATOR, now=at.clock())
    token, _ = at.register.members.invite(at.register.member("ann").rights, "ann", "bea", now=at.clock())
    device, bea = Authenticator(), at.client()
    assert enrol(at.client(), device, token).status_code == 201
    at.clock.now += 86_400
    assert sign_in(bea, device).status_code == 200
    return signed_in(at, Role.ADMINISTRATOR), bea


def test_an_administrator_alone_does_not_become_a_member_who_has_a_passkey(at_home: House) -> None:
    """ann would like to approve as rob what she wrote herself. bea has to agree, and rob is told."""
    theirs = enrolled(at_home, Role.REVIEWER)
    ann, bea = _two_administrators(at_home)
    told = ann.post("/v1/accounts/invite", json={"account": "rob"}, headers=SAME).json()
    assert told["waits_for_second"] is True
    invitation = told["link"].partition("#invitation=")[2]
    assert enrol(at_home.client(), Authenticator(), invitation).status_code == 401
    assert ann.post("/v1/accounts/agree", json={"account": "rob"}, headers=SAME).status_code == 403
    waiting = bea.get("/v1/accounts/waiting").json()["invitations"]
    assert [(w["account"], w["made_by"]) for w in waiting] == [("rob", "ann")]
    assert bea.post("/v1/accounts/agree", json={"account": "rob"}, headers=SAME).status_code == 200
    assert bea.post("/v1/accounts/agree", json={"account": "rob"}, headers=SAME).status_code == 409
    new = Authenticator()
    assert enrol(at_home.client(), new, invitation).status_code == 201
    rob = at_home.client()
    assert sign_in(rob, theirs).status_code == 200  # what rob had is as good as before
    happened = [(h["what"], h["by"]) for h in rob.get("/v1/me/happened").json()["happened"]]
    assert happened[:3] == [("enrolled-anew", "ann"), ("agreed", "bea"), ("invited-anew", "ann")]
    assert at_home.client().get("/v1/oversight").json() == {
        "administrators": 2, "invited_anew": 1, "agreed": 1, "invited_anew_alone": 0,
    }  # fmt: skip


def test_who_was_made_an_administrator_today_is_no_second_one(at_home: House) -> None:
    """A straw man: ann makes one, becomes it, and agrees with herself. It has to wait a day, and bea is told at once."""
    enrolled(at_home, Role.REVIEWER)
    ann, bea = _two_administrators(at_home)
    made = ann.post("/v1/accounts", json={"account": "cy", "role": "administrator"}, headers=SAME).json()
    straw, cy = Authenticator(), at_home.client()
    assert enrol(at_home.client(), straw, made["link"].partition("#invitation=")[2]).status_code == 201
    assert sign_in(cy, straw).status_code == 200
    ann.post("/v1/accounts/invite", json={"account": "rob"}, headers=SAME)
    refused = cy.post("/v1/accounts/agree", json={"account": "rob"}, headers=SAME)
    assert (refused.status_code, refused.json()["detail"]) == (403, "an administrator for less than a day")
    told = bea.get("/v1/me/happened").json()["happened"][0]
    assert (told["what"], told["by"], told["about"]) == ("administrator-made", "ann", "cy")


def test_an_only_administrator_acts_at_once_and_everybody_can_count_it(at_home: House) -> None:
    theirs = enrolled(at_home, Role.REVIEWER)
    assert at_home.client().get("/v1/oversight").json()["invited_anew_alone"] == 0
    invitation = invited(at_home, Role.REVIEWER)
    assert at_home.client().get("/v1/oversight").json()["invited_anew_alone"] == 1
    thief = at_home.client()
    new = Authenticator()
    assert enrol(at_home.client(), new, invitation).status_code == 201
    assert sign_in(thief, new).status_code == 200
    session = thief.cookies["__Host-kangma"]
    news = at_home.register.members.news(session)
    assert [h["what"] for h in news] == [Happening.ENROLLED_ANEW, Happening.INVITED_ANEW_ALONE]
    at_home.register.members.read_news(session, news[0]["number"])
    assert at_home.register.members.news(session) == []
    rob = at_home.client()  # whoever read it by another passkey has not read it for rob
    assert sign_in(rob, theirs).status_code == 200
    assert len(at_home.register.members.news(rob.cookies["__Host-kangma"])) == 2


def test_a_passkey_that_was_closed_first_counts_as_one_that_was_there(at_home: House) -> None:
    theirs = enrolled(at_home, Role.REVIEWER)
    ann, _ = _two_administrators(at_home)
    assert ann.delete(f"/v1/passkeys/{theirs.id.hex()}", headers=SAME).status_code == 204
    told = ann.post("/v1/accounts/invite", json={"account": "rob"}, headers=SAME).json()
    assert told["waits_for_second"] is True
    assert at_home.register.members.history("rob")[1]["what"] is Happening.PASSKEY_CLOSED


def test_nobody_is_invited_to_be_the_author_of_the_founding_records(at_home: House) -> None:
    ann = at_home.client(Role.ADMINISTRATOR)
    for name in ("kangma", "machine", "nobody"):
        assert ann.post("/v1/accounts/invite", json={"account": name}).status_code == 403


def test_nobody_agrees_by_a_token(at_home: House) -> None:
    enrolled(at_home, Role.REVIEWER)
    ann, _ = _two_administrators(at_home)
    ann.post("/v1/accounts/invite", json={"account": "rob"}, headers=SAME)
    bea = at_home.register.member("bea")
    _, token = at_home.register.make_token(
        bea, "bea", {Right.ACCOUNTS}, now=at_home.clock(), expires_at=at_home.clock() + 99
    )
    program = at_home.client()
    program.headers["authorization"] = f"Bearer {token}"
    assert program.post("/v1/accounts/agree", json={"account": "rob"}).status_code == 403


def test_an_agreement_is_for_a_day_and_waiting_for_a_week(at_home: House) -> None:
    enrolled(at_home, Role.REVIEWER)
    ann, _ = _two_administrators(at_home)
    members, rights = at_home.register.members, at_home.register.member("bea").rights
    ann.post("/v1/accounts/invite", json={"account": "rob"}, headers=SAME)
    now = at_home.clock()
    assert members.waiting(rights, now=now + 7 * 86_400) == []
    assert members.agree(rights, "bea", "rob", now=now + 7 * 86_400 - 1) == now + 8 * 86_400 - 1


# Tokens know who made them, and end with them


def test_a_token_says_who_made_it_and_ends_with_them(at_home: House) -> None:
    """An administrator gave a defence its token, and is sent away: whoever keeps a copy of it has nothing."""
    at_home.register.add_account(
        at_home.register.member("ann"), "bea", "Songyuli", Role.ADMINISTRATOR, now=at_home.clock()
    )
    bea, ann, ed = (at_home.register.member(n) for n in ("bea", "ann", "ed"))
    until = at_home.clock() + 10**6
    by_bea, secret = at_home.register.make_token(
        bea, "ed", {Right.SIGNAL}, now=at_home.clock(), expires_at=until
    )
    by_ed, other = at_home.register.make_token(ed, "ed", {Right.READ}, now=at_home.clock(), expires_at=until)
    told = {t["token"]: t["made_by"] for t in at_home.client(Role.EDITOR).get("/v1/tokens").json()["tokens"]}
    assert (told[by_bea], told[by_ed]) == ("bea", "ed")
    enrolled(at_home, Role.READER)
    open_, _ = at_home.register.members.invite(bea.rights, "bea", "ed", now=at_home.clock())
    at_home.register.close_account(ann, "bea", now=at_home.clock())
    with pytest.raises(Refused):
        at_home.register.bearer(secret, now=at_home.clock())
    with pytest.raises(Refused):
        at_home.register.members.invited(open_, now=at_home.clock())
    assert at_home.register.bearer(other, now=at_home.clock()).account == "ed"
    happened = [(h["what"], h["by"], h["about"]) for h in at_home.register.history_of(ed, "ed")]
    assert (Happening.TOKEN_CLOSED, "ann", by_bea) in happened
    assert (Happening.TOKEN_MADE, "bea", by_bea) in happened


def test_what_happened_to_an_account_is_its_owners_and_administrators_to_read(at_home: House) -> None:
    rea, ann = at_home.register.member("rea"), at_home.register.member("ann")
    assert at_home.register.history_of(rea, "rea")
    assert at_home.register.history_of(ann, "rea")
    for ask in (
        lambda: at_home.register.history_of(rea, "ed"),
        lambda: at_home.register.looks(rea),
        lambda: at_home.register.looks(rea, account="ed"),
    ):
        with pytest.raises(Refused):
            ask()
    assert at_home.client(Role.READER).get("/v1/me/looks").json() == {"looks": []}
    at_home.publish(RECORD)
    at_home.client(Role.READER).get("/v1/incidents/an-attack")
    assert [look["id"] for look in at_home.client(Role.READER).get("/v1/me/looks").json()["looks"]] == [
        "an-attack"
    ]
