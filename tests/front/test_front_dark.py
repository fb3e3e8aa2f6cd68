"""Three days without the origin: doors go on deciding from what they have, phones show what they were told last with its
age, and nothing turns red, or green, for lack of data.

At six in the evening four people have their phones filled, the nurse has a paper too, a door fetches its lists. Then
everything of ours is switched off. What a browser shows of it is driven in tests/journeys/test_real_city.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hamlet import CASE, CHILD, CITY, ELDER, NOW, NURSE, TEACHER, Hamlet, Person, hamlet, phone_key
from web_built import built, node

from kangma.credential import claims, holder
from kangma.credential.issue import shown
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import NotVerified, Outcome, Reason, Verified
from kangma.credential.verify import Verifier
from kangma.signing.cose import open1
from kangma.signing.keys import KeySigner
from kangma.signing.trust import decode_root
from kangma.terms import HOUR

HOURS = range(73)
DAYS = 3  # today and the two after it: as far as a phone is filled
WHO = {"case": CASE, "teacher": TEACHER, "nurse": NURSE, "child": CHILD}


@dataclass
class Phone:
    """What a phone holds once it was filled, and what it does with it: as web/src/resident/phone.ts."""

    told: dict[str, Any]
    told_at: int
    credentials: list[tuple[bytes, KeySigner]] = field(default_factory=list)

    def scan(self, now: int) -> str | None:
        """What its QR says in this half minute; None when it has no credential for now."""
        for content, key in self.credentials:
            said = claims.decode(open1(content, most=2_048).payload)
            if said.issued <= now < said.expires:
                return shown(content + holder.prove(content, holder.step_of(now), key))
        return None

    def age(self, now: int) -> int:
        return now - self.told_at


@dataclass
class Dark:
    """Everything that is left when the origin is gone."""

    phones: dict[str, Phone]
    paper: str
    paper_colour: str
    root: bytes
    trust: bytes
    lists: dict[str, bytes]
    lost: str  # a code of a phone that its owner had withdrawn before

    def door(self) -> Verifier:
        made = Verifier(decode_root(self.root), MarksInMemory())
        made.take_trust(self.trust)
        for uri, content in self.lists.items():
            made.take_list(uri, content)
        return made


def filled(door: Hamlet, person: Person) -> Phone:
    token = door.bound(person)["token"]
    keys = [phone_key() for _ in range(DAYS)]
    holders = {"holders": [key.public.compressed.hex() for key in keys]}
    said = door.client(token).post("/v1/me/credentials", json=holders)
    assert said.status_code == 201, said.text
    texts = [c["text"] for c in said.json()["credentials"]]
    contents = [base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in texts]
    return Phone({}, 0, list(zip(contents, keys, strict=True)))


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Dark:
    with hamlet(tmp_path_factory.mktemp("dark")) as door:
        phones = {name: filled(door, person) for name, person in WHO.items()}
        paper = door.resident(NURSE).post("/v1/me/paper").json()["text"]
        stolen = filled(door, ELDER)  # and then its owner ends it
        elder = door.resident(ELDER)
        elder.delete(f"/v1/me/devices/{elder.get('/v1/me/devices').json()['devices'][1]['device']}")
        door.cycle(after=60)  # the lists that doors fetch know all of these
        now = door.clock.now
        for name, person in WHO.items():
            phone = phones[name]
            phone.told, phone.told_at = door.resident(person).get("/v1/me/code").json(), now
        public = door.client()
        lists = {}
        for file in sorted((door.path / "public" / "status").rglob("*")):
            address = file.relative_to(door.path / "public").as_posix()
            if file.is_file() and file.suffix != ".delta":
                lists[f"{CITY.base}/{address}"] = public.get(f"/public/{address}").content
        lost = stolen.scan(now)
        assert lost is not None
        left = Dark(
            phones, paper, "", public.get("/public/root").content, public.get("/public/trust").content, lists, lost
        )  # fmt: skip
        seen = left.door().verify(paper, now=now)
        assert isinstance(seen, Verified)
        left.paper_colour = seen.colour.value
    return left  # the hamlet is closed: nobody answers any more


def colours(dark: Dark) -> dict[str, str]:
    """What each was told while there was somebody to tell it; a notice stands beside green."""
    return {
        name: "notice" if phone.told["colour"] == "green" and phone.told["notices"] else phone.told["colour"]
        for name, phone in dark.phones.items()
    }


START = NOW + 60


def test_somebody_of_each_kind_is_there(dark: Dark) -> None:
    """Or the rest would say little."""
    assert colours(dark)["case"] == "red"
    assert colours(dark)["nurse"] == "green"
    assert len(set(colours(dark).values())) >= 3


@pytest.mark.parametrize("name", WHO)
def test_every_hour_the_door_says_of_a_phone_what_is_so_or_that_it_cannot_say(dark: Dark, name: str) -> None:
    door, said = dark.door(), []
    for hour in HOURS:
        now = START + hour * HOUR
        text = dark.phones[name].scan(now)
        if text is None:
            said.append("no code")  # the third day is over: the phone shows the state with its age, and no QR
            continue
        found = door.verify(text, now=now)
        assert isinstance(found, Verified), (hour, found)
        assert found.colour.value == colours(dark)[name], hour
        assert found.lists_age == hour * HOUR
        assert (found.stale_since is not None) == (hour > 24), hour
        said.append(found.outcome.value)
    # From six in the evening: a day verified, then called stale, until the last of three local days has ended.
    assert said == ["verified"] * 25 + ["stale"] * 29 + ["no code"] * 19


def test_a_paper_is_good_for_all_of_the_three_days_and_longer(dark: Dark) -> None:
    door = dark.door()
    for hour in HOURS:
        found = door.verify(dark.paper, now=START + hour * HOUR)
        assert isinstance(found, Verified)
        assert found.colour.value == dark.paper_colour
        assert found.outcome is (Outcome.VERIFIED if hour <= 24 else Outcome.STALE)
    week = door.verify(dark.paper, now=START + 8 * 24 * HOUR)
    assert isinstance(week, NotVerified)  # the lists are over: no colour, and no fault of whoever shows it
    assert (week.reason, week.reason.outcome) == (Reason.LIST_OVER, Outcome.NOT_VERIFIED)


def test_nothing_turns_red_or_green_for_lack_of_data(dark: Dark) -> None:
    for hour in range(0, 24 * 40, 7):
        door = dark.door()  # one that was just switched on, with the lists of then
        now = START + hour * HOUR
        for name, phone in dark.phones.items():
            text = phone.scan(now)
            found = None if text is None else door.verify(text, now=now)
            if isinstance(found, Verified):
                assert found.colour.value == colours(dark)[name]
        paper = door.verify(dark.paper, now=now)
        assert not isinstance(paper, Verified) or paper.colour.value == dark.paper_colour


def test_what_was_refused_before_is_refused_all_along(dark: Dark) -> None:
    """A withdrawn phone, a copy of a minute ago, another's code with one's own proof: darkness helps none of them."""
    door = dark.door()
    withdrawn = door.verify(dark.lost, now=START)
    assert isinstance(withdrawn, NotVerified)
    assert withdrawn.reason is Reason.WITHDRAWN
    for hour in range(54):
        now = START + hour * HOUR
        copy = dark.phones["nurse"].scan(now)
        assert copy is not None
        later = door.verify(copy, now=now // 30 * 30 + 60)
        assert isinstance(later, NotVerified)
        assert later.reason is Reason.PROOF_OLD
        content, _ = dark.phones["nurse"].credentials[0]
        own = dark.phones["case"].credentials[0][1]
        forged = door.verify(shown(content + holder.prove(content, holder.step_of(now), own)), now=now)
        assert isinstance(forged, NotVerified)


def test_a_door_whose_clock_was_set_back_is_not_fooled(dark: Dark) -> None:
    """Time does not fall behind what a trusted key has signed."""
    door = dark.door()
    text = dark.phones["nurse"].scan(START + 40 * HOUR)
    assert text is not None
    assert isinstance(door.verify(text, now=START - 30 * 24 * HOUR), NotVerified)


def pkcs8(key: KeySigner) -> str:
    content = key._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[union-attr]
    return base64.b64encode(content).decode()


def pages(dark: Dark, hours: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
    """What the resident's own page makes of what its phone has, in Node, while every call fails: name → hours."""
    asked = {
        "hours": [START + hour * HOUR for hour in hours],
        "phones": {
            name: {
                "told": phone.told, "at": phone.told_at,
                "credentials": [
                    {
                        "cose": base64.b64encode(content).decode(), "key": pkcs8(key),
                        "issued": said.issued, "expires": said.expires,
                    }
                    for content, key in phone.credentials
                    for said in [claims.decode(open1(content, most=2_048).payload)]
                ],
            }
            for name, phone in dark.phones.items()
        },
    }  # fmt: skip
    done = node(str(built("test/dark_all.mjs")), said=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["asked"] >= len(list(hours))  # it tried, and nobody was there
    found: dict[str, list[dict[str, Any]]] = said["said"]
    return found


#: What stands there in large letters of each state, while it is new; of an older one that it was the last.
HEADS = {"green": "绿码", "notice": "绿码", "yellow": "黄码", "red": "红码"}


def aged(seconds: int) -> str:
    """How a page says how old that is."""
    if seconds < 7_200:
        return f"{seconds // 60} 分钟前"
    return f"{seconds // 3_600} 小时前" if seconds < 48 * HOUR else f"{seconds // (24 * HOUR)} 天前"


def test_every_hour_the_page_shows_what_it_was_told_last_and_how_old_that_is(dark: Dark) -> None:
    """Never another colour than it was told, and never without its age; and what its QR says is believed by doors."""
    door = dark.door()
    for name, hours in pages(dark, HOURS).items():
        wanted = colours(dark)[name]
        for hour, seen in enumerate(hours):
            assert seen["away"] == "away", seen
            state = seen["state"].split()
            assert state[:2] == ["state", wanted], (name, hour, seen)
            assert HEADS[wanted] in seen["head"]
            if hour > 1:
                assert "stale" in state
                assert seen["head"] != HEADS[wanted]  # it says that it was the last
            if hour:
                assert aged(hour * HOUR) in seen["age"], (hour, seen)
            assert (seen["text"] is None) == (dark.phones[name].scan(seen["now"]) is None), hour
            if seen["text"] is not None:
                found = door.verify(seen["text"], now=seen["now"])
                assert isinstance(found, Verified), (hour, found)
                assert found.colour.value == wanted
    assert {"red", "green", "notice"} <= set(colours(dark).values())


def test_the_page_at_the_door_says_the_same_in_every_hour(dark: Dark) -> None:
    """The verifier of web/ in Node, given the same files and the same scans."""
    b64 = {uri: base64.b64encode(content).decode() for uri, content in dark.lists.items()}
    common = {
        "title": "", "marks": {}, "root": base64.b64encode(dark.root).decode(), "root_fingerprint": "",
        "trust": base64.b64encode(dark.trust).decode(), "lists": b64, "layers": None, "expected": None,
    }  # fmt: skip
    asked, python = [], []
    for hour in range(0, 73, 6):
        now = START + hour * HOUR
        for text in [dark.paper, *(phone.scan(now) for phone in dark.phones.values())]:
            if text is None:
                continue
            found = dark.door().verify(text, now=now)
            assert isinstance(found, Verified)
            python.append((found.outcome.value, found.colour.value, found.lists_age, found.stale_since))
            asked.append(common | {"name": f"{hour}", "now": now, "text": text})
    done = node(str(built("test/replay_all.mjs")), said=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    seen = [one["expected"] for one in json.loads(done.stdout)]
    assert [(s["outcome"], s["colour"], s["lists_age"], s["stale_since"]) for s in seen] == python
