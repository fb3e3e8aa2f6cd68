"""What stands prepared is what would be answered now: after every kind of change, for everybody."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hamlet import CHILD, ELDER, EVERYBODY, NURSE, TEACHER, Hamlet, Tables, hamlet, result

from kangma.publish.answers import code_of
from kangma.publish.credentials import mask_of, resident
from kangma.publish.prepared import Answers, body
from kangma.store.releases import last_release
from kangma.store.slots import MOST
from kangma.terms import DAY, moment


def everybody_is_right(door: Hamlet) -> None:
    """Each slot against one person's code at the moment of the release."""
    release = last_release(door.state.registry)
    assert release is not None
    for found in door.city.store.residents():
        numbers = {
            door.state.person_number(door.city.keyer.key(p.id_type, p.id_number)): p for p in EVERYBODY
        }
        person = numbers[found.person]
        content = door.city.slots.answer(found.slot)
        assert content is not None
        got = json.loads(content)
        wanted = code_of(door.state, person.id_type, person.id_number, now=release.now)
        del wanted["person"]
        mask = mask_of(door.state, resident(door.state, person.id_type, person.id_number))
        # The way begins when the answer was made: what can be done at once is dated then, on the same day.
        for mine, theirs in zip(_dates(got["way"]), _dates(wanted["way"]), strict=True):
            assert mine == theirs or (mine and theirs and 0 <= moment(theirs) - moment(mine) < DAY), (
                person.id_number
            )
        assert got == wanted | {"name_mask": mask, "release": release.number}, person.id_number


def _dates(way: list[dict[str, Any]]) -> list[str | None]:
    """When each leg is reached and from when each step counts, taken out of it."""
    return [
        one.pop(name)
        for leg in way
        for one, name in [(leg, "earliest"), *((s, "since") for s in leg["steps"])]
    ]


def visit(who: object, day: int) -> dict[str, object]:
    return who.named | {  # type: ignore[attr-defined]
        "place_id": "V1", "entered_at": f"2022-04-{day}T08:00:00+08:00", "left_at": f"2022-04-{day}T10:00:00+08:00",
        "source": "scan",
    }  # fmt: skip


def case(who: object, name: str) -> dict[str, object]:
    return who.named | {  # type: ignore[attr-defined]
        "document_id": name, "case_id": name, "kind": "confirmed", "confirmed_at": "2022-04-25T18:04:00+08:00",
        "onset_at": "2022-04-25T08:00:00+08:00",
    }  # fmt: skip


def born(name: str, who: object = NURSE) -> dict[str, object]:
    return who.named | {
        "name": name,
        "birth_date": "1990-01-01",
        "phone": "10066617003",
        "district": "海淀区",
    }  # type: ignore[attr-defined]


TEST = result(NURSE, "S-7", "2022-04-25T18:05:10+08:00") | {"document_id": "t7"}
CHANGES: dict[str, Tables] = {
    "a test that turns nothing": {"tests": [TEST]},
    "a test that proves to be somebody else's": {
        "tests": [result(TEACHER, "S-7", "2022-04-25T18:05:10+08:00") | {"document_id": "t7", "document_version": 2}]
    },
    "that test is taken back": {"retractions": [{"document_id": "t7", "reason": "a mix-up", "by": "lab"}]},
    "a dose, and a second case at the same table": {
        "vaccinations": [TEACHER.named | {"product": "inactivated", "dose": 1, "given_on": "2022-04-01"}],
        "visits": [visit(ELDER, 24), visit(TEACHER, 24), visit(CHILD, 24)], "cases": [case(ELDER, "C2")],
    },
    "two documents are one person's": {
        "identities": [
            {"id_type": "20", "id_number": NURSE.id_number, "same_as_id_type": "20", "same_as_id_number": CHILD.id_number,
             "decided_by": "desk"}
        ]
    },
    "the case is taken back": {"retractions": [{"document_id": "c1", "reason": "excluded", "by": "cdc"}]},
    "another name": {"people": [born("龘龘龘")]},
}  # fmt: skip


def test_after_every_kind_of_change_everybodys_answer_is_the_right_one(door: Hamlet) -> None:
    for person in (NURSE, TEACHER, CHILD):
        door.bound(person)
    everybody_is_right(door)
    for name, tables in CHANGES.items():
        door.cycle(tables, after=15)
        try:
            everybody_is_right(door)
        except AssertionError as problem:
            raise AssertionError(f"after: {name}") from problem
    door.cycle(after=86_400)
    everybody_is_right(door)
    door.cycle(after=9 * 86_400)  # the amendment of 4 May is in force
    everybody_is_right(door)


def test_a_forgotten_cause_is_caught(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a program that looks at holds only misses a test that turns nothing."""
    monkeypatch.setattr(Answers, "_documents_since", lambda *_: set())
    door.bound(NURSE)
    door.cycle(CHANGES["a test that turns nothing"], after=15)
    with pytest.raises(AssertionError):
        everybody_is_right(door)


def test_who_needs_no_new_answer_gets_none(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in EVERYBODY:
        door.bound(person)
    made: list[int] = []
    fill = Answers._fill
    monkeypatch.setattr(
        Answers, "_fill", lambda self, slots, r: made.append(len(slots)) or fill(self, slots, r)
    )
    door.cycle(after=15)
    door.cycle({"tests": [TEST]}, after=15)
    assert made == [0, 1]


def test_a_program_that_is_started_again_goes_on_where_the_one_before_ended(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.bound(NURSE)
    door.bound(TEACHER)
    door.answers.close()
    made: list[int] = []
    fill = Answers._fill
    monkeypatch.setattr(
        Answers, "_fill", lambda self, slots, r: made.append(len(slots)) or fill(self, slots, r)
    )
    with Answers(door.state, door.city.store) as again:
        again.turn()
        assert made == [0]
        door.answers = again
        door.cycle({"tests": [TEST]}, after=15)
        assert made == [0, 1]
        everybody_is_right(door)
    # Many releases later, and somebody came and somebody left meanwhile.
    for _ in range(4):
        door.cycle_only(after=15)
    leaving = door.city.store.residents()[0]
    door.city.store.leave(leaving.slot, again_until=0, now=door.clock.now)
    with Answers(door.state, door.city.store) as third:
        third.turn()
        assert door.city.slots.answer(leaving.slot) is None
        back = door.bound_without_answers(NURSE)
        third.turn()
        assert door.client(back["token"]).get("/v1/me/code").status_code == 200
        everybody_is_right(door)
    door.answers = Answers(door.state, door.city.store)


def test_two_who_prepare_at_once_are_one_too_many(door: Hamlet) -> None:
    with pytest.raises(Exception, match="another"):
        Answers(door.state, door.city.store)


def test_an_answer_that_does_not_fit_leaves_out_the_lightest_holds_and_says_so() -> None:
    holds = [{"rule": f"A-{i}", "reason": "x" * 900} for i in range(40)]
    made = json.loads(body({"colour": "red", "holds": holds}, "*") + b"}")
    assert made["holds"] == holds[: len(made["holds"])]
    assert made["more_holds"] == 40 - len(made["holds"]) > 0
    assert len(json.dumps(made)) > MOST * 0.9


@pytest.mark.prove
def test_sixty_changes_in_any_order_leave_nobody_with_an_old_answer(tmp_path: Path) -> None:
    chance = random.Random(random.randrange(2**32))
    with hamlet(tmp_path) as door:
        for person in EVERYBODY:
            door.bound(person)
        for n in range(60):
            who, back = chance.choice(EVERYBODY), f"{chance.choice('rD')}{chance.randrange(n + 1)}"
            told = chance.choice(["negative", "positive"])
            reported = f"2022-04-25T18:{5 + n // 4:02d}:{n % 4 * 15:02d}+08:00"
            tables: Tables = chance.choice(
                [
                    {"tests": [result(who, f"R{n}", reported, told) | {"document_id": f"r{n}"}]},
                    {"cases": [case(who, f"D{n}")]},
                    {"visits": [visit(who, chance.randrange(20, 25))]},
                    {"retractions": [{"document_id": back, "reason": "x", "by": "x"}]},
                    {},
                ]
            )  # fmt: skip
            door.cycle(tables, after=15)
            everybody_is_right(door)
