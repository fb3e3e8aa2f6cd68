"""Nothing that is for members reaches a stranger over HTTP. A register whose every member field sings is crawled whole:
each route that the application has, with whatever its signature takes, each link that an answer holds, each way to be
refused; bodies, headers and the log are searched. A new route is crawled because it is there.

Two controls: the same crawl as a member hears every canary, and of two registers that differ only in what is for members
a stranger cannot tell which is which, byte by byte.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

import pyarrow.parquet as pq
import pytest
from fastapi import APIRouter
from house import BASE, NOW, House, house
from makers import canaries

from kangma.gateway.register.asked import parameters_of
from kangma.gateway.register.description import operations
from kangma.incidents.form import from_json
from kangma.incidents.life import RIGHTS, Change, Role
from kangma.incidents.record import FIELDS
from kangma.incidents.signal import Signal
from kangma.incidents.vocabulary import Kind
from kangma.incidents.words import Words

#: What a canary looks like in any form; the last ones are of fields that cannot be words.
SINGS = ("CANARY", "金丝雀", "canary", "7317317", "T1491", "Defacement", "1951-03", "c0ffee")
PICTURE = b"\x89PNG\r\n\x1a\n" + b"CANARY picture" + bytes(8)


#: What another voice sings where words cannot be changed: a country, a technique, a figure, a day, a term of a list.
OTHER = {
    '"AX"': '"BV"', "T1491": "T1565", "Defacement": "Data Manipulation", "7317317": "42", "1951-03-07": "1961-11-02",
    "c0ffee": "decade", "canary.example": "canaryx.example",
}  # fmt: skip


def sung(voice: str) -> dict[str, Any]:
    """A record in which everything sings, with a voice to tell its versions apart."""
    text = (
        json.dumps(canaries(), ensure_ascii=False)
        .replace("CANARY", f"CANARY{voice}")
        .replace("金丝雀", f"金丝雀{voice}")
    )
    if voice.startswith("x"):
        for mine, other in OTHER.items():
            text = text.replace(mine, other)
        text = re.sub(
            r'"(degree|basis|confidence|reliability|attribution|exactness)": "[^"]+"', _another, text
        )
    made: dict[str, Any] = json.loads(text)
    return made


def _another(found: re.Match[str]) -> str:
    terms = {
        "degree": "whole", "basis": "assessed", "confidence": "high", "reliability": "C", "attribution": "convicted",
        "exactness": "at-most",
    }  # fmt: skip
    return f'"{found[1]}": "{terms[found[1]]}"'


def hidden(id: str, voice: str, *, by_item: bool = False, **public: Any) -> dict[str, Any]:
    """Everything for members but what is given: by the fields' levels, or by each item's own."""
    value = {**sung(voice), "id": id, **public}
    levels = {n: "member" for n in FIELDS if n not in public}
    if by_item:
        for name in list(levels):
            part = value[name]
            if isinstance(part, list) and isinstance(part[0], dict):
                value[name] = [{**item, "level": "member"} for item in part]
                del levels[name]
    return {**value, "levels": levels}


OPEN = {
    "victim": {"name": "健康码", "names": {"en": "Health code"}, "country": "CN"}, "date": "2022-04-28",
    "summary": {"zh": "遭到攻击", "en": "Attacked"}, "certainty": "confirmed", "kinds": ["denial-of-service"],
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "quiet": {},
    "listed": {"by_item": True},
    "halfway": dict(OPEN),
    "halfway-listed": {"by_item": True, **OPEN},
}


def fill(made: House, voice: str = "") -> None:
    """Records of every shape, corrected once; drafts; notes; accounts, a signal, a token: all of them sing."""
    register, ann = made.register, made.caller(Role.ADMINISTRATOR)
    for name, role in ((f"CANARY{voice}ed", Role.EDITOR), (f"CANARY{voice}rob", Role.REVIEWER)):
        register.add_account(ann, name, f"CANARY{voice} organisation", role, now=NOW)
    ed, rob = (register.member(f"CANARY{voice}{n}") for n in ("ed", "rob"))
    digest = register.keep_picture(ed, PICTURE + voice.encode(), "image/png")
    picture = {
        "digest": digest,
        "type": "image/png",
        "alt": {"en": f"CANARY{voice} alt"},
        "credit": f"CANARY{voice} credit",
    }
    for id, shape in SHAPES.items():
        for n, kept in enumerate(("one", "two")):
            value = {**hidden(id, voice + kept, **shape), "picture": picture}
            value["related"] = [{**r, "id": f"canary{voice}-draft"} for r in value["related"]]
            record = from_json(value)
            if n == 0:
                register.new(ed, record, now=NOW)
                edit = 1
            else:
                words = Words.of({"zh": "改正", "en": "Mended"})
                begun = register.reopen(ed, id, Change.CORRECTION, words, now=NOW)
                edit = register.edit(ed, record, after_edit=begun, now=NOW)
            register.submit(ed, id, now=NOW, note=f"CANARY{voice} submitting")
            register.give_back(rob, id, now=NOW, note=f"CANARY{voice} returning")
            register.submit(ed, id, now=NOW)
            register.approve(rob, id, edit=edit, now=NOW, note=f"CANARY{voice} approving")
            register.publish(rob, id, now=NOW)
    register.new(ed, from_json({**sung(voice), "id": f"canary{voice}-draft"}), now=NOW)
    register.new(ed, from_json(hidden("discarded-canary", voice)), now=NOW)
    register.discard(ed, "discarded-canary", now=NOW, note=f"CANARY{voice}")
    register.signal(
        Signal("canary", f"{voice}e", Kind.MALWARE, f"CANARY{voice} system", "CANARY", NOW), now=NOW
    )
    register.make_token(ed, ed.account, RIGHTS[Role.EDITOR], now=NOW, expires_at=NOW + 100)
    register.members.invite(ann.rights, "ann", ed.account, now=NOW)


def texts_of(content: bytes) -> str:
    """A body as somebody could read it: as it is, without tags, and with every escape undone."""
    if content.startswith(b"PAR1"):
        return json.dumps(pq.read_table(io.BytesIO(content)).to_pylist(), ensure_ascii=False)
    plain = content.decode("utf-8", "replace")
    parts = [plain, html.unescape(plain), html.unescape(re.sub(r"<[^>]*>", "", plain)), unquote(plain)]
    with contextlib.suppress(ValueError):
        parts.append(json.dumps(json.loads(plain), ensure_ascii=False))
    return "\n".join([*parts, content.decode("latin-1")])


def heard(text: str) -> set[str]:
    return {mark for mark in SINGS if mark in text}


@dataclass
class Crawl:
    """What came back: (method, address) → status, headers and body, as text."""

    made: House
    role: Role | None
    said: dict[tuple[str, str], str] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def ask(self, method: str, target: str, **said: Any) -> None:
        if (method, target) in self.said:
            return
        client = self.made.client(self.role)
        got = client.request(method, target, **said)
        headers = "\n".join(f"{k}: {v}\n{unquote(v)}" for k, v in got.headers.items())
        self.said[method, target] = f"{got.status_code}\n{headers}\n{texts_of(got.content)}"
        if method == "GET":
            self.raw[target] = got.content
            self.found += links(got.content, got.headers, target)

    def follow(self) -> None:
        """Walks every link that was found, and those found there. Of links that differ in their question only, a few:
        the facets of a list make more of those than there are stars."""
        asked: Counter[str] = Counter()
        while self.found:
            link = self.found.pop(0)
            path, _, query = link.partition("?")
            if ("GET", link) in self.said or (query and asked[path] >= MOST_QUESTIONS):
                continue
            asked[path] += bool(query)
            self.ask("GET", link)

    def everything(self) -> Crawl:
        for path, method, route in operations(self.made.app):
            for target in targets(path, sorted(parameters_of(route))):
                if method == "GET":
                    self.ask("GET", target)
                else:
                    self.ask(method, target, json={})
                    self.ask(method, f"{target}#2", json=ANYTHING)
        for method, path in (
            ("PATCH", "/v1/incidents/quiet"),
            ("GET", "/nothing"),
            ("GET", "/v1/incidents?x=1"),
        ):
            self.ask(method, path)
        for path in ("/incidents/quiet", "/incidents/canary-draft", "/nothing"):
            for accept, lang in product(("text/html", "application/json"), ("zh", "en")):
                self.ask("GET", f"{path}#{accept}{lang}", headers={"accept": accept, "accept-language": lang})
            self.ask("HEAD", path)
        self.follow()
        return self


MOST_QUESTIONS = 6
ANYTHING = {
    "id": "quiet", "note": "x", "edit": 1, "account": "ann", "scopes": ["read"], "invitation": "x", "credential": {},
    "zh": "x", "en": "x", "role": "reader",
}  # fmt: skip
IDS = [*SHAPES, "canary-draft", "discarded-canary", "nothing"]
PATHS: dict[str, list[str]] = {
    "id": IDS, "version": ["1", "2", "3"], "n": ["1", "2", "3"], "passkey": ["ab"], "token": ["0" * 16],
    "key": ["健康码", "CANARYtworecord.victim.name".casefold(), "nobody"],
    "name": ["checkpoint", "tile/entries/000.p/8", "tile/0/000.p/8", "look.css", "members.js"],
}  # fmt: skip
VALUES: dict[str, list[str]] = {
    "form": ["json", "stix", "veris", "csv", "parquet"], "lang": ["zh", "en"], "sort": ["newest", "oldest", "published"],
    "from": ["1"], "to": ["2"], "size": ["1"], "since": ["1950-01-01"], "until": ["1960-01-01"],
    "year": ["2022"], "country": ["CN"], "kind": ["denial-of-service"], "certainty": ["confirmed"], "victim": ["健康码"],
    "q": ["健康码"], "after_edit": ["1"],
}  # fmt: skip


def targets(path: str, parameters: list[str]) -> Iterator[str]:
    """Addresses of a route: every value of its path, alone and with each parameter; unknown names get a value too."""
    names = [n.partition(":")[0] for n in re.findall(r"\{([^}]+)\}", path)]
    for values in product(*(PATHS.get(n, ["1", "quiet"]) for n in names)):
        at = path
        for name, value in zip(names, values, strict=True):
            at = re.sub(rf"\{{{name}(:[^}}]*)?\}}", lambda _, v=value: quote(v), at)
        yield at
        if {"from", "to"} <= set(parameters):
            yield f"{at}?from=1&to=2"
        for name in parameters:
            for value in VALUES.get(name, ["1"]):
                more = {"form": "json"} if "import" in path and name != "form" else {}
                yield f"{at}?{urlencode({name: value, **more})}"


_LINK = re.compile(
    rb"""(?:href|src|action)=["']([^"']+)["']|"(https://register\.example[^"]*|/[a-z0-9][^" ]*)\""""
)


def links(content: bytes, headers: Any, at: str) -> Iterator[str]:
    """Addresses of ours in an answer: of its text, its JSON and its headers."""
    found = [html.unescape((a or b).decode("utf-8", "replace")) for a, b in _LINK.findall(content)]
    found += [headers["location"]] if "location" in headers else []
    found += re.findall(r"<([^>]+)>", headers.get("link", ""))
    for link in found:
        parts = urlsplit(urljoin(f"{BASE}{at}", link.replace("\\u0026", "&")))
        if f"{parts.scheme}://{parts.netloc}" == BASE and "{" not in parts.path:
            yield parts.path + (f"?{parts.query}" if parts.query else "")


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("choir") / "register") as made:
        fill(made)
        yield made.alone()


@pytest.fixture(scope="module")
def stranger(choir: House) -> Crawl:
    return Crawl(choir, None).everything()


def test_nothing_that_a_stranger_is_answered_sings(stranger: Crawl) -> None:
    found = {at: heard(text) for at, text in stranger.said.items() if heard(text)}
    # What a stranger asked for comes back in the one place where a page repeats it; it is theirs.
    assert {at: marks for at, marks in found.items() if not heard(unquote(at[1]))} == {}
    assert len(stranger.said) > 300
    statuses = {text[:3] for text in stranger.said.values()}
    assert {"200", "303", "400", "401", "404", "405"} <= statuses
    assert "500" not in statuses


def plain(text: str) -> str:
    """Without the words of the address, which a page may repeat."""
    return re.sub(r"(?i)discarded-|canary(two)?(-draft|record\.victim\.name)?|silence", "·", unquote(text))


def test_what_a_page_repeats_of_the_question_is_all_that_it_says(stranger: Crawl) -> None:
    """Addresses of hidden things are answered as addresses of nothing."""
    for at in [a for m, a in stranger.said if m == "GET" and heard(unquote(a))]:
        silent = re.sub(r"(?i)canary(two)?(-draft|record\.victim\.name)?", "silence", unquote(at))
        silent = silent.replace("discarded-", "")
        got = texts_of(stranger.made.client().get(at).content)
        other = texts_of(stranger.made.client().get(silent).content)
        assert plain(got) == plain(other), at


def test_the_log_of_all_that_does_not_sing(
    stranger: Crawl, choir: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        Crawl(choir, Role.ADMINISTRATOR).ask("GET", "/v1/incidents/quiet")
    ours = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "asyncio")))
    assert heard(json.dumps(choir.events.lines, ensure_ascii=False, default=str) + ours) == set()
    assert len(choir.events.lines) > 300
    assert not [e for e in choir.events.lines if e["event"] == "failed"]


def test_every_route_was_crawled(stranger: Crawl, choir: House) -> None:
    answered = {str(e["route"]) for e in choir.events.lines if e["event"] == "answered"}
    assert {r.path for _, _, r in operations(choir.app)} <= answered


def test_the_control_a_member_hears_every_canary_on_the_same_walk(choir: House) -> None:
    walk = Crawl(choir, Role.ADMINISTRATOR)
    for path, method, route in operations(choir.app):
        if method == "GET":
            for target in targets(path, sorted(parameters_of(route))):
                walk.ask("GET", target)
    for draft in choir.client(Role.ADMINISTRATOR).get("/v1/drafts").json()["drafts"]:
        walk.ask("GET", f"/v1/drafts/{draft['id']}")
    text = "\n".join(walk.said.values())
    assert heard(text) == set(SINGS)
    wanted = set(re.findall(r"CANARY[A-Za-z_.]*", json.dumps([sung("one"), sung("two")])))
    wanted -= {w for w in wanted if ".picture." in w}  # the picture is one of our own
    wanted |= {"CANARY alt", "CANARY credit", "CANARY submitting", "CANARY returning", "CANARY approving", "CANARYed",
               "CANARY organisation", "CANARY system", "CANARY picture", "canary-draft"}  # fmt: skip
    assert {w for w in wanted if w not in text} == set()
    by_session_free_paths = {
        at.partition("?")[0] for (m, at), said in walk.said.items() if m == "GET" and heard(said)
    }
    assert {
        "/v1/incidents/quiet",
        "/v1/export",
        "/incidents/quiet.json",
        "/incidents/quiet.stix",
    } <= by_session_free_paths


def test_a_stranger_searching_for_canaries_finds_and_counts_nothing(choir: House) -> None:
    anybody, member = choir.client(), choir.client(Role.READER)
    every = anybody.get("/v1/incidents").json()
    assert every["total"] == len(SHAPES)
    assert heard(json.dumps(every["counts"], ensure_ascii=False)) == set()
    for word in (
        "CANARY",
        "CANARYtworecord",
        "金丝雀",
        "金丝",
        "Defacement",
        "7317317",
        "T1491",
        "submitting",
    ):
        assert anybody.get("/v1/incidents", params={"q": word}).json()["total"] == 0, word
    assert member.get("/v1/incidents?q=CANARYtworecord").json()["total"] == len(SHAPES)
    for facet, values in member.get("/v1/incidents").json()["counts"].items():
        for value in values:
            told = anybody.get("/v1/incidents", params={facet: value}).json()["total"]
            assert told == every["counts"].get(facet, {}).get(value, 0), (facet, value)
    quiet = {
        c["id"] for c in anybody.get("/v1/incidents?since=1951-01-01&until=1952-01-01").json()["incidents"]
    }
    assert quiet == set()
    assert member.get("/v1/incidents?since=1951-01-01&until=1952-01-01").json()["total"] == 2


def normal(content: bytes) -> bytes:
    """Without what must differ: digests, signatures and what is made of them."""
    return re.sub(rb"[0-9a-f]{64,}", b"digest", content)


def test_two_registers_that_differ_for_members_only_are_one_to_a_stranger(
    stranger: Crawl, tmp_path: Path
) -> None:
    """What no word can give away: a picture's pixels, a count, a colour, a length."""
    with house(tmp_path / "register") as made:
        fill(made, "x")
        one, other = stranger, Crawl(made.alone(), None).everything()
    shared = one.raw.keys() & other.raw.keys()
    assert len(shared) > 200
    apart = {
        at for at in shared
        if normal(one.raw[at]) != normal(other.raw[at]) and not at.startswith(("/log/", "/v1/key"))
        and not at.endswith("/signed")
    }  # fmt: skip
    assert apart == set()
    assert {a for a in one.raw.keys() ^ other.raw.keys() if "canary" not in unquote(a).lower()} == set()


def test_a_route_that_forgot_the_levels_is_caught(choir: House) -> None:
    """The control of the crawl itself: a careless route is found because it is there."""
    made = choir.alone()
    careless = APIRouter()

    @careless.get("/v1/careless/{id}", include_in_schema=False)
    def leak(id: str) -> Any:
        return {
            "debug": repr(made.register.work(made.caller(Role.EDITOR), id, now=NOW).record)
            if id in SHAPES
            else ""
        }

    made.app.include_router(careless)
    walk = Crawl(made, None)
    for path, _, route in operations(made.app):
        if "careless" in path:
            for target in targets(path, sorted(parameters_of(route))):
                walk.ask("GET", target)
    assert any(heard(text) for text in walk.said.values())


def test_addresses_are_read_as_they_are_written() -> None:
    assert parse_qsl(urlsplit(next(targets("/v1/incidents/{id}", ["q"]))).query) == []
