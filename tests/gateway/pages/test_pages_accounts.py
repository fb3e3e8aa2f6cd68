"""Members' own pages and the administrators': passkeys, tokens, what happened, who looked; by forms alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from authenticator import Authenticator
from fastapi.testclient import TestClient
from house import RECORD, House
from in_person import SAME, enrol, enrolled, sign_in, signed_in
from sound_html import Sound, sound

from kangma.incidents.life import Role


def read(client: TestClient, address: str, status: int = 200, lang: str = "en") -> Sound:
    answer = client.get(address, headers={"accept": "text/html", "accept-language": lang})
    assert answer.status_code == status, (address, answer.status_code, answer.text[:500])
    return sound(answer.text)


def post(client: TestClient, address: str, sent: Any = (), status: int = 303) -> Any:
    answer = client.post(
        address, data=dict(sent), headers={"accept": "text/html", "accept-language": "en", **SAME}
    )
    assert answer.status_code == status, (address, answer.status_code, answer.text[:900])
    return answer.headers["location"] if status == 303 else sound(answer.text)


def shown_once(page: Sound) -> str:
    (found,) = (e.text for e in page.all("code") if e.attributes.get("class") == "secret")
    return found


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_member_has_these_pages_and_administrators_more(at_home: House, lang: str) -> None:
    at_home.publish(RECORD)
    for role in Role:
        client = signed_in(at_home, role)
        client.get("/v1/incidents/an-attack")
        for address in ("/members", "/members/account", "/members/looks"):
            read(client, address, lang=lang)
        more = 200 if role is Role.ADMINISTRATOR else 403
        for address in ("/members/accounts", "/members/accounts/one?account=rob"):
            read(client, address, status=more, lang=lang)
    for address in ("/members/account", "/members/looks", "/members/accounts"):
        read(at_home.client(), address, status=401, lang=lang)


def test_a_member_makes_a_token_uses_it_and_closes_it(at_home: House) -> None:
    ed = signed_in(at_home, Role.EDITOR)
    page = post(ed, "/members/account/tokens", {"scope": ["read", "signal"], "days": "30"}, status=201)
    program = at_home.client()
    program.headers["authorization"] = f"Bearer {shown_once(page)}"
    assert program.get("/v1/me").json()["rights"] == ["read", "signal"]
    assert "kmi_" not in read(ed, "/members/account").text  # shown that once
    told = next(t for t in ed.get("/v1/tokens").json()["tokens"] if t["scopes"] == ["read", "signal"])
    assert "made by ed" in read(ed, "/members/account").text
    assert post(ed, "/members/account/tokens/close", {"token": told["token"]}) == "/members/account#tokens"
    assert program.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "sent", [{}, {"scope": "accounts", "days": "30"}, {"scope": "read", "days": "9999"}, {"days": "30"}]
)
def test_a_token_of_nothing_or_of_more_than_its_maker_may_is_not_made(
    at_home: House, sent: dict[str, str]
) -> None:
    ed = signed_in(at_home, Role.EDITOR)
    before = len(ed.get("/v1/tokens").json()["tokens"])
    assert "Choose at least one" in post(ed, "/members/account/tokens", sent, status=422).text
    assert len(ed.get("/v1/tokens").json()["tokens"]) == before


def test_nobody_closes_what_is_anothers(at_home: House) -> None:
    theirs = enrolled(at_home, Role.REVIEWER)
    ed = signed_in(at_home, Role.EDITOR)
    token = at_home.client(Role.REVIEWER).get("/v1/tokens").json()["tokens"][0]["token"]
    post(ed, "/members/account/tokens/close", {"token": token}, status=404)
    post(ed, "/members/account/passkeys/close", {"passkey": theirs.id.hex()}, status=403)
    post(ed, "/members/account/passkeys/close", {"passkey": "zz"}, status=400)
    ann = signed_in(at_home, Role.ADMINISTRATOR)
    back = post(ann, "/members/account/passkeys/close", {"passkey": theirs.id.hex()})
    assert back == "/members/accounts/one?account=rob#passkeys"
    assert sign_in(at_home.client(), theirs).status_code == 401


def test_who_has_one_passkey_is_told_what_closing_it_means(at_home: House) -> None:
    device, browser = enrolled(at_home), at_home.client()
    sign_in(browser, device)
    assert "your only passkey" in read(browser, "/members/account").text
    assert enrol(browser, Authenticator()).status_code == 201
    page = read(browser, "/members/account")
    assert "your only passkey" not in page.text
    assert any("data-another" in e.attributes for e in page.all("button"))
    assert [e.attributes["src"] for e in page.all("script")] == ["/shipped/members.js"]
    assert (
        post(browser, "/members/account/passkeys/close", {"passkey": device.id.hex()})
        == "/members/account#passkeys"
    )
    assert browser.get("/v1/me").status_code == 401  # it was the one that signed in here


def test_an_account_is_made_invited_and_closed_by_forms(at_home: House) -> None:
    ann = signed_in(at_home, Role.ADMINISTRATOR)
    page = post(
        ann, "/members/accounts", {"account": "nia", "organisation": "Clinic", "role": "editor"}, status=201
    )
    device, nia = Authenticator(), at_home.client()
    assert enrol(at_home.client(), device, shown_once(page).partition("#invitation=")[2]).status_code == 201
    assert sign_in(nia, device).status_code == 200
    taken = post(ann, "/members/accounts", {"account": "nia", "role": "editor"}, status=409)
    assert "perhaps a closed one" in taken.text
    for wrong in (
        {},
        {"account": " ", "role": "editor"},
        {"account": "x", "role": "god"},
        {"account": "a\u202eb", "role": "editor"},
    ):
        post(ann, "/members/accounts", wrong, status=422)
    post(ann, "/members/accounts/close", {"account": "nia"}, status=400)  # the box was not ticked
    assert nia.get("/v1/me").status_code == 200
    post(ann, "/members/accounts/close", {"account": "nia", "sure": "yes"})
    assert nia.get("/v1/me").status_code == 401
    assert "Account closed" in read(ann, "/members/accounts/one?account=nia").text
    post(ann, "/members/accounts/close", {"account": "ann", "sure": "yes"}, status=409)
    read(ann, "/members/accounts/one?account=nobody", status=404)
    post(ann, "/members/accounts/invite", {"account": "nobody"}, status=404)


def test_a_second_administrator_agrees_on_a_page_and_the_member_is_told(at_home: House) -> None:
    theirs = enrolled(at_home, Role.REVIEWER)
    at_home.register.add_account(
        at_home.register.member("ann"), "bea", "", Role.ADMINISTRATOR, now=at_home.clock()
    )
    token, _ = at_home.register.members.invite(
        at_home.register.member("ann").rights, "ann", "bea", now=at_home.clock()
    )
    hers, bea = Authenticator(), at_home.client()
    assert enrol(at_home.client(), hers, token).status_code == 201
    at_home.clock.now += 86_400
    assert sign_in(bea, hers).status_code == 200
    ann = signed_in(at_home, Role.ADMINISTRATOR)
    told = post(ann, "/members/accounts/invite", {"account": "rob"}, status=201)
    assert "no good before a second administrator agrees" in told.text
    assert "Agree rob" not in told.text  # not for her to do
    post(ann, "/members/accounts/agree", {"account": "rob"}, status=403)
    assert "Agree rob" in read(bea, "/members/accounts").text
    assert post(bea, "/members/accounts/agree", {"account": "rob"}) == "/members/accounts/one?account=rob"
    assert (
        enrol(at_home.client(), Authenticator(), shown_once(told).partition("#invitation=")[2]).status_code
        == 201
    )
    rob = at_home.client()
    assert sign_in(rob, theirs).status_code == 200
    page = read(rob, "/members")
    assert "Others did this to your account" in page.text
    assert "A passkey enrolled by the further invitation" in page.text
    upto = next(e.attributes["value"] for e in page.all("input") if e.attributes.get("name") == "upto")
    post(rob, "/members/account/read", {"upto": upto})
    assert "Others did this" not in read(rob, "/members").text
    assert "A passkey enrolled by the further invitation" in read(rob, "/members/account").text  # it stays
    post(rob, "/members/account/read", {"upto": "9" * 18})
    assert "agreed 1 time" in read(at_home.client(), "/about").text


def test_nobody_reads_away_what_has_not_happened_yet(at_home: House) -> None:
    theirs, rob = enrolled(at_home, Role.REVIEWER), at_home.client()
    assert sign_in(rob, theirs).status_code == 200
    post(rob, "/members/account/read", {"upto": "9" * 18})
    signed_in(at_home, Role.ADMINISTRATOR).post(
        "/members/accounts/invite", data={"account": "rob"}, headers=SAME
    )
    assert "Others did this to your account" in read(rob, "/members").text


def test_looks_are_paged_and_filtered_and_ones_own_for_everybody_else(at_home: House) -> None:
    at_home.publish(RECORD)
    ed, rea, ann = (signed_in(at_home, r) for r in (Role.EDITOR, Role.READER, Role.ADMINISTRATOR))
    for _ in range(130):
        at_home.register.show("an-attack", at_home.caller(Role.READER), now=at_home.clock())
    ed.get("/v1/incidents/an-attack")
    mine = read(ed, "/members/looks")
    assert len(mine.all("tr")) == 2
    assert read(ed, "/members/looks?account=ed").text == mine.text
    read(ed, "/members/looks?account=rea", status=403)
    page = read(ann, "/members/looks?account=rea")
    assert len(page.all("tr")) == 101
    assert {e.text.strip() for e in page.all("td") if "rea" in e.text}
    (further,) = (e.attributes["href"] for e in page.all("a") if e.attributes.get("rel") == "next")
    assert re.fullmatch(r"/members/looks\?account=rea&before=\d+", further)
    rest = read(ann, further)
    assert len(rest.all("tr")) == 31
    assert len(read(rea, "/members/looks").all("tr")) == 101
    assert "ed" in {e.text.strip() for e in read(ann, "/members/looks").all("a")}


def test_a_session_is_not_a_place_for_other_sites(at_home: House) -> None:
    ann = signed_in(at_home, Role.ADMINISTRATOR)
    for address, sent in (
        ("/members/accounts", {"account": "x", "role": "administrator"}),
        ("/members/accounts/invite", {"account": "rob"}),
        ("/members/account/tokens", {"scope": "read", "days": "30"}),
    ):  # fmt: skip
        told = ann.post(address, data=sent, headers={"sec-fetch-site": "cross-site", "accept": "text/html"})
        assert told.status_code == 403
    assert "x" not in {a["account"] for a in ann.get("/v1/accounts").json()["accounts"]}
