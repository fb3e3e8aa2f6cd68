"""The examples of the API's description, lived through in their order: `python tests/front/story.py` writes them anew.

What the city names by chance (a binding, a token, a ride) has another name each time. Its name in an example is learnt
where it is answered, and the one of today is sent wherever the example sends it. What only the caller can make (a key, a
signature, the code that came by letter, a door's code) is made.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hamlet import Hamlet, Person, hamlet, phone_key, result, unlimited
from laboratory import Client, registered

from kangma.credential.venue_code import code_at, minute_of, token_at
from kangma.signing.keys import KeySigner

FILE = Path(__file__).parents[2] / "src/kangma/gateway/front/examples.json"
RESIDENT = Person("20", "EX0000001", "样例甲", "10000000001")
CHILD = Person("20", "EX0000002", "样例乙", "10000000002", guardian="EX0000001")
ELDER = Person("20", "EX0000003", "样例丙", "10000000003")
#: Named by chance, signed, or drawn: other in each city and at each time.
BY_CHANCE = {
    "binding", "token", "resident", "device", "visit", "appeal", "consent", "ride", "carer", "text", "png", "pdf",
    "venue", "access_token", "x", "kid", "rejects", "receipt", "sealed",
}  # fmt: skip
Step = dict[str, Any]


def evidence() -> dict[str, Any]:
    people = [
        p.named
        | {
            "name": p.name, "birth_date": "1990-01-01", "phone": p.phone, "district": "朝阳区",
            "guardian_id_type": "20" if p.guardian else "", "guardian_id_number": p.guardian,
        }
        for p in (RESIDENT, CHILD, ELDER)
    ]  # fmt: skip
    visit = {
        "place_id": "V1", "entered_at": "2022-04-24T12:30:00+08:00", "left_at": "2022-04-24T13:30:00+08:00",
        "source": "scan",
    }  # fmt: skip
    return {
        "people": people,
        "visits": [RESIDENT.named | visit],
        "vaccinations": [RESIDENT.named | {"product": "inactivated", "dose": 1, "given_on": "2021-05-10"}],
        "tests": [result(RESIDENT, "EX-1", "2022-04-25T03:00:00+08:00")],
    }


class Story:
    """The people and programs of the examples, in a hamlet of their own."""

    def __init__(self, door: Hamlet) -> None:
        self.door = door
        door.cycle(evidence())
        self.today: dict[str, Any] = {}  # a name in an example → what it is called now
        self.keys: dict[str, KeySigner] = {}
        self.resident = ""  # how the resident's devices call them
        self.tokens: dict[str, str] = {"elder": door.bound(ELDER)["token"]}
        made, self.venue_key = door.city.venues.register("V1", "样例饭馆", now=door.clock.now)
        door.city.venues._due = 0.0
        self.venue = made.venue
        self.clients: dict[str, Client] = {
            "partner": registered(door, "sample-cars", "ride:check"),
            "source": registered(door, "sample-lab", "source:tests"),
        }

    def live(self, steps: Sequence[Step]) -> Iterator[tuple[Step, Step]]:
        """Each step and what it was today."""
        told = self.door.client().get("/openapi.json").json()["paths"]
        at = {
            one["operationId"]: (method.upper(), path)
            for path, methods in told.items()
            for method, one in methods.items()
        }
        for step in steps:
            method, path = at[step["operation"]]
            lived = {k: v for k, v in step.items() if k not in ("said", "answered", "status")}
            lived["path"], lived["headers"] = self.now(step["path"]), self.now(step["headers"])
            client = self.door.client(self.token(step["by"]))
            more: dict[str, Any] = {}
            if "sent" in step:
                lived["sent"] = self.made(step)
                more["content"] = text(lived["sent"], step["media"])
                client.headers["content-type"] = step["media"]
            answer = client.request(method, path.format(**lived["path"]), headers=lived["headers"], **more)
            self.door.city.outbox.empty()
            lived["status"] = answer.status_code
            if answer.content and step["operation"] != "description_described":
                lived["answered"], lived["said"] = answer.headers["content-type"], answer.json()
                self.learn(step.get("said"), lived["said"])
            if step["operation"] == "residents_confirm":
                self.tokens["resident"], self.resident = answer.json()["token"], answer.json()["resident"]
                self.door.answers.turn()
            yield step, lived

    def token(self, by: str) -> str | None:
        if by == "venue":
            return token_at(self.venue, self.venue_key, minute_of(self.door.clock.now))
        if by in self.clients:
            return self.clients[by].token()
        return self.tokens.get(by)

    def learn(self, example: Any, today: Any) -> None:
        if isinstance(example, dict) and isinstance(today, dict):
            for name in example.keys() & today.keys():
                self.learn(example[name], today[name])
            if "receipt" in example:
                self.today[f"receipt {example['receipt']}"] = today["receipt"]
        elif isinstance(example, list) and isinstance(today, list):
            for one, other in zip(example, today, strict=False):
                self.learn(one, other)
        elif isinstance(example, str) and example != today:
            self.today.setdefault(example, today)

    def now(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self.today.get(f"{k} {v}", self.now(v)) for k, v in value.items()}
        if isinstance(value, list):
            return [self.now(v) for v in value]
        return self.today.get(value, value) if isinstance(value, str) else value

    def made(self, step: Step) -> Any:
        """The body, with what only the caller can make."""
        sent, what = self.now(step["sent"]), step["operation"]
        if what == "residents_confirm":
            sent["device_key"] = self.key(step["sent"]["device_key"])
        if what in ("residents_confirm", "residents_add_another"):
            sent["code"] = self.door.letters.sent[-1].code
        if what == "residents_renew":
            sent["signature"] = self.signed(f"KM1 token {sent['resident']} {sent['at']}")
        if what in ("sealed_places", "sealed_places_of_another"):
            sent["key"] = self.key(step["sent"]["key"])
            of = f"/{step['path']['other']}" if step["path"] else ""
            sent["signature"] = self.signed(f"KM1 slots {self.resident}{of} {sent['key']} {sent['at']}")
        if "holders" in sent:
            sent["holders"] = [self.key(h) for h in sent["holders"]]
        if what in ("venues_scan_in", "venues_scan_in_another"):
            for scan in sent.values():
                scan |= {"venue": self.venue, "code": code_at(self.venue_key, scan["minute"])}
        if what == "oauth_token":
            client = self.clients["partner" if sent.get("scope") == "ride:check" else "source"]
            sent["client_assertion"] = client.assertion(jti="an-example-of-a-name")
        return sent

    def signed(self, said: str) -> str:
        """By the key of the device that was bound first."""
        return next(iter(self.keys.values())).sign(said.encode()).hex()

    def key(self, example: str) -> str:
        return self.keys.setdefault(example, phone_key()).public.compressed.hex()


def text(value: Any, media: str) -> bytes:
    """A body as it is sent."""
    from urllib.parse import urlencode  # noqa: PLC0415

    if media == "application/json":
        return json.dumps(value, ensure_ascii=False).encode()
    if media == "application/x-www-form-urlencoded":
        return urlencode(value).encode()
    return str(value).encode()


def differences(example: Any, today: Any, place: str = "", name: str = "") -> Iterator[str]:
    """Places at which an answer is not what the example says, but for what is by chance."""
    if isinstance(example, dict) and isinstance(today, dict):
        for key in example.keys() | today.keys():
            yield from differences(example.get(key), today.get(key), f"{place}.{key}", key)
    elif isinstance(example, list) and isinstance(today, list) and len(example) == len(today):
        for i, (one, other) in enumerate(zip(example, today, strict=True)):
            yield from differences(one, other, f"{place}.{i}", name)
    elif name in BY_CHANCE and type(example) is type(today):
        return
    elif example != today:
        yield f"{place}: {example!r}, and today {today!r}"


def main() -> None:
    steps = json.loads(FILE.read_bytes())
    with tempfile.TemporaryDirectory() as folder, hamlet(Path(folder), defence=unlimited()) as door:
        lived = [today for _, today in Story(door).live(steps)]
    FILE.write_text(json.dumps(lived, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(len(lived), "steps,", sorted({s["status"] for s in lived}), file=sys.stderr)


if __name__ == "__main__":
    main()
