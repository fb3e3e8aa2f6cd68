"""A verifier that was given old, damaged or half a file keeps what it knows; nothing that was revoked comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from at_the_door import NOW, door, signed, world
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kangma.credential.marks import MarksInMemory, of_key, of_list
from kangma.credential.outcome import Colour, NotVerified, Reason, Verified
from kangma.credential.verify import Verifier
from kangma.errors import Code, Refused
from kangma.status.delta import delta_cwt
from kangma.store.marks import MarksInFile
from kangma.terms import DAY, Moment

URI = world.EXTRA
CODE = world.shown(world.paper())
INDEX = world.GREEN


def list_with(status: int, iat: Moment) -> bytes:
    values = world.np.zeros(1024, world.np.uint8)
    values[INDEX] = status
    lst = world.lists.compress(world.lists.pack(values, 4))
    return world.to_cwt(world.ListClaims(URI, iat, iat + 7 * DAY, 300, 4, lst, 1, 1), world.STATUS)


#: Version 1 green, 2 red, 3 withdrawn; five minutes apart.
LISTS = {n: list_with(status, NOW - 1_000 + 300 * n) for n, status in ((1, 0x0), (2, 0xD), (3, 0x1))}


def trust_version(n: int) -> bytes:
    """Version 1 as it was, from version 2 on the key of the code is revoked."""
    issued = NOW - 5_000 + 1_000 * n
    old = replace(world.BEIJING.keys[0], revoked_at=issued if n == 2 else NOW - 3_000 if n > 2 else None)
    beijing = replace(world.BEIJING, keys=(old, replace(world.BEIJING.keys[5])))
    previous = bytes(32) if n > 1 else None
    both = (beijing, world.TIANJIN)
    return signed(replace(world.TRUST, version=n, previous=previous, issued=issued, authorities=both))


TRUSTS = {n: trust_version(n) for n in (1, 2, 3)}


def fed(verifier: Verifier, *, trust: bytes | None = None, list_: bytes | None = None) -> Code | None:
    """Why it was refused, None when it was taken."""
    try:
        if trust is not None:
            verifier.take_trust(trust)
        if list_ is not None:
            verifier.take_list(URI, list_)
    except Refused as problem:
        return problem.code
    return None


def test_lists_one_three_two_leave_the_third_in_force() -> None:
    verifier = door(lists={})
    assert fed(verifier, list_=LISTS[1]) is None
    assert getattr(verifier.verify(CODE, now=NOW), "colour", None) is Colour.GREEN
    assert fed(verifier, list_=LISTS[3]) is None
    assert fed(verifier, list_=LISTS[2]) is Code.ROLLED_BACK
    assert fed(verifier, list_=LISTS[1]) is Code.ROLLED_BACK
    assert verifier.verify(CODE, now=NOW) == NotVerified(Reason.WITHDRAWN)


def test_trust_lists_one_three_two_leave_the_key_revoked() -> None:
    verifier = Verifier(world.ROOT, MarksInMemory())
    assert fed(verifier, trust=TRUSTS[1], list_=LISTS[1]) is None
    assert isinstance(verifier.verify(CODE, now=NOW), Verified)
    assert fed(verifier, trust=TRUSTS[3]) is None
    for older in (2, 1):
        assert fed(verifier, trust=TRUSTS[older]) is Code.ROLLED_BACK
        assert verifier.verify(CODE, now=NOW) == NotVerified(Reason.REVOKED_KEY)


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_a_verifier_that_starts_anew_remembers_what_it_saw(kept: str, tmp_path: Path) -> None:
    def marks() -> MarksInMemory:
        return MarksInFile(tmp_path / "marks.json") if kept == "file" else memory

    memory = MarksInMemory()
    first = marks()
    verifier = Verifier(world.ROOT, first)
    assert fed(verifier, trust=TRUSTS[3], list_=LISTS[3]) is None
    if isinstance(first, MarksInFile):
        first.keep()
    again = Verifier(world.ROOT, marks())
    assert again.verify(CODE, now=NOW) == NotVerified(Reason.NO_TRUST)
    assert fed(again, trust=TRUSTS[2]) is Code.ROLLED_BACK
    assert again.verify(CODE, now=NOW) == NotVerified(Reason.NO_TRUST)
    assert fed(again, trust=TRUSTS[3]) is None
    assert fed(again, list_=LISTS[2]) is Code.ROLLED_BACK
    assert fed(again, list_=LISTS[3]) is None


def test_files_cut_off_at_every_byte_change_nothing() -> None:
    verifier = door(lists={URI: LISTS[3]}, trust=signed())
    newer = list_with(0x0, NOW - 5)
    newer_trust = signed(replace(world.TRUST, version=6, issued=NOW - 5))
    for content in (newer, newer_trust):
        for end in range(len(content)):
            half = (
                content[:end] + bytes(len(content) - end) if end % 2 else content[:end]
            )  # half-written, or cut off
            assert fed(verifier, trust=half) is not None or half == newer_trust
            assert fed(verifier, list_=half) is not None or half == newer
            if half not in (newer, newer_trust):
                assert verifier.verify(CODE, now=NOW) == NotVerified(Reason.WITHDRAWN)


def test_a_clock_thirty_days_behind_brings_nothing_back() -> None:
    verifier = door(lists={URI: LISTS[2]})
    behind = NOW - 30 * DAY
    assert getattr(verifier.verify(CODE, now=behind), "colour", None) is Colour.RED
    expired = world.shown(world.paper(issued=world.midnight(-8), expires=world.midnight(-1)))
    assert verifier.verify(expired, now=behind) == NotVerified(Reason.EXPIRED)
    picture = world.shown(world.phone(), at=behind)
    assert verifier.verify(picture, now=behind) == NotVerified(Reason.PROOF_OLD)


def test_keys_that_a_new_trust_list_revokes_take_their_status_lists_with_them() -> None:
    verifier = door(lists={URI: LISTS[1]})
    keys = [replace(k, revoked_at=NOW - 60) if k.use is world.Use.STATUS else k for k in world.BEIJING.keys]
    beijing = replace(world.BEIJING, keys=tuple(keys))
    verifier.take_trust(signed(replace(world.TRUST, version=6, issued=NOW - 30, authorities=(beijing,))))
    assert verifier.verify(CODE, now=NOW) == NotVerified(Reason.BAD_LIST)


def test_a_delta_to_the_list_at_hand_turns_it_and_any_other_changes_nothing() -> None:
    values = {n: world.np.zeros(1024, world.np.uint8) for n in (1, 2)}
    values[2][INDEX] = 0xD
    raw = {n: world.lists.pack(v, 4) for n, v in values.items()}
    iat = {n: NOW - 1_000 + 300 * n for n in (1, 2)}
    said = world.ListClaims(URI, iat[2], iat[2] + 7 * DAY, 300, 4, bytes(99), 2, 2)
    delta = delta_cwt(raw[1], iat[1], raw[2], said, world.STATUS)
    assert delta is not None
    verifier = door(lists={})
    with pytest.raises(Refused, match="wrong_base"):
        verifier.take_delta(URI, delta)
    verifier.take_list(URI, LISTS[1])
    forged = delta_cwt(raw[1], iat[1], raw[2], said, world.STRANGER)
    for bad in (forged or b"", delta[:-1], b""):
        with pytest.raises(Refused):
            verifier.take_delta(URI, bad)
        assert getattr(verifier.verify(CODE, now=NOW), "colour", None) is Colour.GREEN
    verifier.take_delta(URI, delta)
    assert getattr(verifier.verify(CODE, now=NOW), "colour", None) is Colour.RED
    with pytest.raises(Refused, match="wrong_base"):
        verifier.take_delta(URI, delta)
    assert fed(verifier, list_=LISTS[1]) is Code.ROLLED_BACK


def test_damaged_marks_are_not_taken_for_no_marks(tmp_path: Path) -> None:
    file = tmp_path / "marks.json"
    marks = MarksInFile(file)
    door(marks=marks)
    marks.pin(world.ROOT.fingerprint)
    marks.keep()
    whole = file.read_bytes()
    assert MarksInFile(file).marks == marks.marks
    for end in range(len(whole) - 2):
        file.write_bytes(whole[:end])
        with pytest.raises(Refused, match="unreadable"):
            MarksInFile(file)
    for wrong in (
        "[]",
        '{"root": null}',
        '{"root": 1, "marks": {}}',
        '{"root": null, "marks": {"trust": -1}}',
        "[" * 9000,
    ):
        file.write_text(wrong)
        with pytest.raises(Refused, match="unreadable"):
            MarksInFile(file)


def test_two_verifiers_with_one_file_of_marks_keep_the_higher_of_each(tmp_path: Path) -> None:
    one, other = MarksInFile(tmp_path / "m"), MarksInFile(tmp_path / "m")
    one.raise_to("trust", 7)
    other.raise_to("trust", 5)
    other.raise_to("time", NOW)
    one.keep()
    other.keep()
    assert MarksInFile(tmp_path / "m").marks == {"trust": 7, "time": NOW}


def test_marks_of_lists_that_are_over_by_the_mark_of_time_are_let_go(tmp_path: Path) -> None:
    marks = MarksInFile(tmp_path / "m")
    key, other = world.STATUS.key_id, world.OTHER_STATUS.key_id
    marks.raise_to("time", NOW - DAY)
    marks.raise_to(of_key(key), NOW)
    kept = {
        of_list("new", key): NOW - 7 * DAY,
        of_list("new", other): NOW - 8 * DAY,
        "list new": NOW - 8 * DAY,
    }
    gone = {of_list("old", key): NOW - 7 * DAY - 1, of_list("old", other): NOW - 8 * DAY - 1, "list old": 1}
    for name, value in (kept | gone).items():
        marks.raise_to(name, value)
    marks.keep()
    assert set(json.loads((tmp_path / "m").read_text())["marks"]) == {"time", of_key(key), *kept}


#: Of the key and the list of CODE; over before the first of LISTS was signed, and of none but these can it be known.
ENDED = world.shown(world.paper(expires=NOW - 1_000 + 300 - 60))


class Forgetful(RuleBasedStateMachine):
    """Anything in any order, restarts among it: what was revoked, turned or over is never green again, and what another
    city signs changes nothing for ours."""

    def __init__(self) -> None:
        super().__init__()
        self.marks = MarksInMemory()
        self.verifier = Verifier(world.ROOT, self.marks)
        self.alone = Verifier(world.ROOT, MarksInMemory())  # is given the same, but what another city signs
        self.trust = self.list = 0  # the highest that was taken
        self.held = 0

    @rule(n=st.sampled_from((1, 2, 3)), end=st.integers(0, 2_000), whole=st.booleans())
    def a_trust_list_comes(self, n: int, end: int, whole: bool) -> None:
        content = TRUSTS[n] if whole else TRUSTS[n][:end]
        before = self.verifier.trust
        fed(self.alone, trust=content)
        if fed(self.verifier, trust=content) is None:
            assert n >= self.trust
            assert content == TRUSTS[n]
            self.trust = n
        else:
            assert self.verifier.trust is before

    @rule(n=st.sampled_from((1, 2, 3)), end=st.integers(0, 500), whole=st.booleans())
    def a_status_list_comes(self, n: int, end: int, whole: bool) -> None:
        content = LISTS[n] if whole else LISTS[n][:end]
        fed(self.alone, list_=content)
        if fed(self.verifier, list_=content) is None:
            assert n >= self.list
            assert content == LISTS[n]
            self.list = self.held = n

    @rule(ahead=st.integers(-8 * DAY, 20 * DAY))
    def another_city_signs_a_list(self, ahead: int) -> None:
        with suppress(Refused):
            self.verifier.take_list(
                world.OTHER_DAILY, world.status_list(world.OTHER_DAILY, world.OTHER_STATUS, iat=NOW + ahead)
            )

    @rule()
    def it_starts_anew(self) -> None:
        self.verifier = Verifier(world.ROOT, MarksInMemory(dict(self.marks.marks)))
        self.marks = self.verifier._marks  # type: ignore[assignment]
        self.alone = Verifier(world.ROOT, MarksInMemory(dict(self.alone._marks.marks)))  # type: ignore[attr-defined]
        self.held = 0

    @rule(behind=st.integers(-60 * DAY, 60 * DAY))
    def a_code_is_scanned_at_any_time(self, behind: int) -> None:
        found = self.verifier.verify(CODE, now=NOW + behind)
        assert found == self.alone.verify(CODE, now=NOW + behind)
        ended = self.verifier.verify(ENDED, now=NOW + behind)
        assert ended == self.alone.verify(ENDED, now=NOW + behind)
        assert not isinstance(ended, Verified)
        if isinstance(found, Verified):
            assert self.trust == 1
            assert self.held == self.list
            assert found.colour is {1: Colour.GREEN, 2: Colour.RED}[self.list]

    @invariant()
    def marks_are_what_was_seen(self) -> None:
        seen: Mapping[str, int] = self.marks.marks
        assert seen.get("trust", 0) == self.trust


TestForgetful = Forgetful.TestCase
TestForgetful.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


def test_the_machine_would_notice_a_verifier_that_forgets() -> None:
    """The control: marks that take any value let the old list back in."""

    class Careless(MarksInMemory):
        def raise_to(self, name: str, value: int) -> None:
            self.marks[name] = 0

    verifier = Verifier(world.ROOT, Careless())
    for n in (3, 1):
        with suppress(Refused):
            verifier.take_trust(TRUSTS[n])
        assert fed(verifier, list_=LISTS[1 if n == 1 else 3]) is None or n == 3
    assert isinstance(verifier.verify(CODE, now=NOW), Verified)
