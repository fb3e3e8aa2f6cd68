"""A city at work, `kangma serve` with all its parts and the machine's clock, and what people do with it in a browser.

Ten invented people, a door, a laboratory. The city's policy is Beijing's with one amendment that many cities made: who
shares a positive tube is yellow until a test of their own is negative. So a laboratory alone turns a code to yellow and
back, with no day to wait for.
"""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx2
from hamlet import CITY, Person, tell
from joserfc import jwt
from joserfc.jwk import ECKey
from laboratory import lines
from test_front_serving import free_port
from test_front_walk import door_of

from kangma.credential.outcome import Verified
from kangma.credential.venue_code import key_text
from kangma.gateway.front.who.assertions import ASSERTION_TYPE, public_key
from kangma.policy.published import read
from kangma.publish.city import name_city
from kangma.store.front import FrontStore, prepare
from kangma.store.front_clients import SOURCE, ClientStore
from kangma.store.state import create
from kangma.store.venues import Venues
from kangma.terms import DAY

PATIENCE = 180.0
BEIJING = timezone(timedelta(hours=8))
PLACE, STREET = "松榆东里社区超市", "松榆东里12号楼"

LI = Person("20", "JX7700001", "李小满", "10077700001")  # turns to yellow, and back
ZHAO = Person("20", "JX7700002", "赵明远", "10077700002")  # a mother's child and father are shown by her
CHILD = Person("20", "JX7700003", "赵小禾", "10077700003", guardian="JX7700002")
ELDER = Person("20", "JX7700004", "欧阳守一", "10077700004")
GRAN = Person("20", "JX7700005", "Wilhelmina Aurelia van der Meulen-Papadopoulos", "10077700005")  # on paper
GUARD = Person("20", "JX7700006", "马骁", "10077700006")  # shows when the server is stopped
CASE = Person("20", "JX7700007", "钱一舟", "10077700007")  # red
TEACHER = Person("20", "JX7700008", "孙知微", "10077700008")  # sat with the case: a notice
TUBE = Person("20", "JX7700009", "周子衿", "10077700009")  # yellow, and stays so
LEAVER = Person("20", "JX7700010", "吴去疾", "10077700010")  # objects, exports, leaves
EVERYBODY = (LI, ZHAO, CHILD, ELDER, GRAN, GUARD, CASE, TEACHER, TUBE, LEAVER)

#: Amends what Beijing announced on 4 May 2022.
AMENDMENT = '''
format = 1
id = "beijing-2022-04-22"
version = "2022-06-01"
amends = "2022-05-04"
effective_from = 2022-06-01T00:00:00+08:00
title.zh = "混管阳性赋黄码"
title.en = "A positive tube makes its members yellow"
[[rule]]
id = "A-P0"
on = "tests"
when = "method = 'nat' and pooled and (pool_positive_at is not null or result = 'positive')"
anchor = "coalesce(pool_positive_at, reported_at)"
outcome = "yellow"
cap_hours = 48
authority = "cdc"
basis = "a city's own"
reason.zh = "与您同管的混检样本为阳性，请尽快单人复核。这不表示您已感染。"
reason.en = "The tube that held your sample was positive: please test alone. This does not mean that you are infected."
way_out.zh = "单人复核结果为阴性即恢复绿码。"
way_out.en = "Your code turns green with a negative test of your own."
[[rule.clear]]
on = "tests"
when = """
  method = 'nat' and not pooled and result = 'negative' and sampled_at > coalesce(hold.sampled_at, hold.reported_at)"""
action = "test"
text.zh = "在混检采样之后采样的单人核酸结果为阴性。"
text.en = "A single test of your own, sampled after the pooled one, is negative."
[[rule.clear]]
on = "clearances"
when = "rule = 'A-P0' and finding in ('no_link', 'released') and at >= anchor"
action = "officer"
text.zh = "经两名工作人员核实解除。"
text.en = "Two officers checked and lift this."
'''


def ago(hours: float) -> str:
    return (datetime.now(BEIJING) - timedelta(hours=hours)).isoformat(timespec="seconds")


def specimen(
    person: Person, *, sampled: float, reported: float, result: str = "negative", pooled: bool = False
) -> dict[str, object]:
    """A laboratory's row; times in hours ago."""
    return person.named | {
        "specimen_id": f"S-{secrets.token_hex(6)}", "sampled_at": ago(sampled), "reported_at": ago(reported),
        "method": "nat", "pooled": pooled, "result": result, "lab": "示例医学检验所",
    }  # fmt: skip


def founding() -> dict[str, list[dict[str, object]]]:
    """What the city knows on the first day."""
    place = {"kind": "venue", "lat": 39.87, "lon": 116.46, "district": "朝阳区"}
    met = ((CASE, 30.0, 29.0), (TEACHER, 29.6, 28.5), (ZHAO, 52.0, 51.2), (LI, 20.0, 19.5))
    positives = [specimen(TUBE, sampled=9, reported=3, result="positive", pooled=True)]
    return {
        "people": [
            p.named
            | {
                "name": p.name, "birth_date": "2019-05-04" if p.guardian else "1958-03-08",
                "phone": p.phone, "district": "朝阳区", "guardian_id_type": "20" if p.guardian else "",
                "guardian_id_number": p.guardian,
            }
            for p in EVERYBODY
        ],
        "places": [place | {"place_id": "V1", "name": PLACE}, place | {"place_id": "H1", "name": STREET, "kind": "home"}],
        "visits": [
            p.named | {"place_id": "V1", "entered_at": ago(entered), "left_at": ago(left), "source": "scan"}
            for p, entered, left in met
        ],
        "vaccinations": [
            p.named | {"product": "inactivated", "dose": n, "given_on": f"2021-0{3 * n - 1}-10"}
            for p, doses in ((LI, 3), (ZHAO, 3), (ELDER, 1), (LEAVER, 2), (TUBE, 2))
            for n in range(1, doses + 1)
        ],
        "cases": [
            CASE.named
            | {
                "document_id": "c1", "case_id": "C1", "kind": "confirmed", "onset_at": ago(26), "confirmed_at": ago(5),
            }
        ],
        "tests": positives
        + [specimen(p, sampled=34, reported=22, pooled=True) for p in (LI, ZHAO, GUARD, TEACHER, LEAVER)],
    }  # fmt: skip


@dataclass(frozen=True)
class Laboratory:
    """A registered source, with the key that only it has."""

    name: str
    key: ECKey
    audience: str
    client: httpx2.Client

    def token(self) -> str:
        now = int(time.time())
        said = {"iss": self.name, "sub": self.name, "aud": self.audience, "exp": now + 120}
        assertion = jwt.encode({"alg": "ES256"}, said | {"jti": secrets.token_urlsafe(16)}, self.key)
        asked = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion,
        }  # fmt: skip
        answer = self.client.post("/oauth/token", data=asked)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def reports(self, *tests: Mapping[str, object]) -> None:
        """Sends these results; the city has a receipt for each."""
        headers = {
            "authorization": f"Bearer {self.token()}",
            "content-type": "application/x-ndjson",
            "idempotency-key": secrets.token_urlsafe(16),
        }
        said = self.client.post("/source/v1/tests", content=lines(tests), headers=headers)
        assert said.status_code == 201, said.text
        assert said.json()["accepted"] == len(tests)


class RealCity:
    """`kangma serve` on a state of its own. It can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.path, self.port = folder / "state", free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        now = int(time.time())
        texts = [*read("beijing-2022-04-22"), AMENDMENT]
        with create(self.path, policy=[t.encode() for t in texts], now=now - 20 * DAY) as state:
            name_city(self.path, replace(CITY, base=self.base))
            tell(state, founding(), now)
        key = ECKey.generate_key("P-256")
        with FrontStore(prepare(self.path)) as front:
            public = public_key(key.as_pem(private=False))
            ClientStore(front).add("lab-07", SOURCE, ["source:tests"], [public], now=now)
        with Venues(prepare(self.path)) as venues:
            made, secret = venues.register("V1", PLACE, now=now)
        self.venue, self.venue_secret = made.venue, secret
        self.venue_key = key_text(made.venue, secret)
        self.client = httpx2.Client(base_url=self.base, timeout=30)
        self.laboratory = Laboratory("lab-07", key, f"{self.base}/oauth/token", self.client)
        self.said = (folder / "said").open("w+")
        self.supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """All parts at work, and a release that was published by them."""
        if self.supervisor is not None:
            return
        command = [sys.executable, "-m", "kangma", "serve", str(self.path), "--every", "0.5"]
        self.supervisor = subprocess.Popen([*command, "--port", str(self.port)], stderr=self.said)
        self.until(lambda: self.client.get("/public/latest.json").status_code == 200, "the first release")

    def stop(self) -> None:
        """Every process of it is gone."""
        if self.supervisor is None:
            return
        self.supervisor.send_signal(signal.SIGTERM)
        try:
            assert self.supervisor.wait(60) == 0
        finally:
            self.supervisor.kill()
            self.supervisor = None

    def close(self) -> None:
        self.stop()
        self.client.close()
        self.said.close()

    def until(self, holds: Callable[[], Any], what: str, pause: float = 0.1) -> Any:
        """Waits until this holds; what is tried may fail meanwhile for want of an answer."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := holds():
                    return found
            except (httpx2.HTTPError, OSError):
                pass
            assert self.supervisor is None or self.supervisor.poll() is None, "it ended by itself"
            if time.monotonic() > end:
                self.said.seek(0)
                raise AssertionError(f"{what} never came:\n{self.said.read()[-4_000:]}")
            time.sleep(pause)

    def letter(self, to: Person, before: int) -> str:
        """The code that the demo's delivery wrote down for this person, after so many others."""

        def last() -> str:
            return next(iter(self.letters(to)[before:]), "")

        return str(self.until(last, "a letter"))

    def letters(self, to: Person) -> list[str]:
        file = self.path / "front" / "sent.ndjson"
        whole = file.read_text("utf-8").rpartition("\n")[0] if file.exists() else ""
        sent = [json.loads(line) for line in whole.split("\n") if line]
        return [one["code"] for one in sent if one["to"] == to.phone]

    def at_a_door(self, text: str, *, now: float | None = None) -> Any:
        """What a door that has just fetched everything finds in this code."""
        return door_of(self.client, self.base).verify(text, now=int(time.time() if now is None else now))

    def believed(self, text: str, **wanted: object) -> Verified:
        """What a door says of it once it has the lists of the next release, if that is what is wanted."""

        def found() -> Verified | None:
            said = self.at_a_door(text)
            right = isinstance(said, Verified) and all(getattr(said, k) == v for k, v in wanted.items())
            return said if right else None

        said: Verified = self.until(found, f"a verdict of {wanted}", 0.3)
        return said
