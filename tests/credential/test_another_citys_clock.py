"""The defect: any city that the trust list names could sign a list of the future, and doors took that for the time: the
codes of their own city were over, and their lists stale, for as long as a status key lives. Decision 0171."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from at_the_door import NOW, door, signed, world
from hypothesis import given
from hypothesis import strategies as st

from kangma.credential.marks import MarksInMemory, of_key
from kangma.credential.outcome import Colour, NotVerified, Outcome, Reason, Verified
from kangma.credential.verify import Verifier
from kangma.errors import Refused
from kangma.store.marks import MarksInFile
from kangma.terms import DAY, HOUR, Moment

OURS = world.shown(world.phone())
OURS_ON_PAPER = world.shown(world.paper())
BEGINS, ENDS = world.midnight(-9), world.midnight(21)  # of Tianjin's status key
#: Moments that a clock may show and that a list may be signed at, close ones and far ones.
AROUND = st.one_of(st.integers(-DAY, DAY), st.integers(-40 * DAY, 40 * DAY)).map(lambda s: NOW + s)


def traveller(**more: int) -> str:
    claims = world.paper(issuer="cn-tj", uri=world.OTHER_DAILY, **more)
    return world.shown(claims, world.OTHER_CREDENTIAL)


def theirs(iat: Moment) -> bytes:
    return world.status_list(world.OTHER_DAILY, world.OTHER_STATUS, iat=iat)


def test_a_neighbours_list_of_the_future_turns_nobody_of_ours_away() -> None:
    marks = MarksInMemory()
    before = door(marks=marks)
    before.take_list(world.OTHER_DAILY, theirs(ENDS - 1))
    anew = door(marks=marks, lists={world.DAILY: world.ALL_LISTS[world.DAILY]})
    for verifier in (before, anew):
        found = verifier.verify(OURS, now=NOW)
        assert isinstance(found, Verified)
        assert (found.outcome, found.colour, found.lists_age) == (Outcome.VERIFIED, Colour.GREEN, 127)


def test_it_ends_the_neighbours_own_codes() -> None:
    verifier = door()
    today = traveller(expires=world.midnight(1))
    assert isinstance(verifier.verify(today, now=NOW), Verified)
    verifier.take_list(world.OTHER_DAILY, theirs(ENDS - 1))
    assert verifier.verify(today, now=NOW) == NotVerified(Reason.EXPIRED)
    still = verifier.verify(traveller(), now=NOW)
    assert isinstance(still, Verified)
    assert still.lists_age == 0


@given(now=AROUND, at=AROUND, ours_at=st.integers(-9 * DAY, 0).map(lambda s: NOW + s))
def test_whatever_a_neighbour_signs_our_codes_are_what_they_are_without_it(
    now: Moment, at: Moment, ours_at: Moment
) -> None:
    own = {uri: world.status_list(uri, iat=ours_at) for uri in (world.DAILY, world.EXTRA)}
    alone, beside = door(lists=own), door(lists=own)
    if BEGINS <= at < ENDS:
        beside.take_list(world.OTHER_DAILY, theirs(at))
    else:
        with pytest.raises(Refused, match="untrusted"):
            beside.take_list(world.OTHER_DAILY, theirs(at))
    for code in (OURS, OURS_ON_PAPER):
        assert beside.verify(code, now=now) == alone.verify(code, now=now)


@given(now=AROUND, at=st.integers(BEGINS, ENDS - 1), back=st.integers(1, 60 * DAY))
def test_a_clock_that_is_put_back_brings_no_code_of_the_neighbour_back_either(
    now: Moment, at: Moment, back: int
) -> None:
    verifier = door()
    verifier.take_list(world.OTHER_DAILY, theirs(max(at, world.LISTS_AT)))
    code = traveller(expires=max(at, world.LISTS_AT) - 30)  # over by what its own city has signed
    for clock in (now, now - back):
        assert verifier.verify(code, now=clock) in (
            NotVerified(Reason.EXPIRED),
            NotVerified(Reason.LIVES_TOO_LONG),
            NotVerified(Reason.KEY_OVER),
            NotVerified(Reason.NO_TRUST),
        )


# ------------------------------------------------------------------------------------------------- our own key, stolen


def after_the_theft(revoked_at: Moment = NOW - HOUR) -> bytes:
    """The trust list that revokes our status key, for another that begins with it."""
    keys = [replace(k, revoked_at=revoked_at) if k.use is world.Use.STATUS else k for k in world.BEIJING.keys]
    new = world.trusted(world.STRANGER, world.Use.STATUS, revoked_at)
    beijing = replace(world.BEIJING, keys=(*keys, new))
    return signed(
        replace(
            world.TRUST, version=6, issued=revoked_at, authorities=(beijing, *world.TRUST.authorities[1:])
        )
    )


def test_our_own_list_of_the_future_is_believed_until_its_key_is_revoked() -> None:
    """The clock may be wrong, and whoever has the city's key can turn everybody red: it is not refused. It ends."""
    marks = MarksInMemory()
    verifier = door(marks=marks)
    verifier.take_list(world.DAILY, world.status_list(world.DAILY, iat=NOW + 15 * DAY))
    assert verifier.verify(OURS, now=NOW) == NotVerified(Reason.EXPIRED)
    for mended in (verifier, Verifier(world.ROOT, marks)):
        mended.take_trust(after_the_theft())
        mended.take_list(world.DAILY, world.status_list(world.DAILY, world.STRANGER, iat=NOW - 60))
        found = mended.verify(OURS, now=NOW)
        assert isinstance(found, Verified)
        assert (found.outcome, found.lists_age) == (Outcome.VERIFIED, 60)


def test_after_a_revocation_it_is_never_earlier_than_that() -> None:
    verifier = door()
    verifier.take_list(world.DAILY, world.status_list(world.DAILY, iat=NOW - 90))
    verifier.take_trust(after_the_theft(revoked_at=NOW - 80))
    verifier.take_list(world.EXTRA, world.status_list(world.EXTRA, world.STRANGER, iat=NOW - 80))
    for ends, said in ((NOW - 110, Reason.EXPIRED), (NOW - 109, None)):
        found = verifier.verify(world.shown(world.paper(expires=ends)), now=NOW - 30 * DAY)
        assert getattr(found, "reason", None) is said


@given(seen=st.integers(-DAY, 19 * DAY), old=st.integers(-DAY, 0))
def test_a_list_older_than_one_that_a_revoked_key_had_signed_honestly_stays_out(seen: int, old: int) -> None:
    """Two keys of ours, both in use; the one that signed last is revoked. What it signed up to then was seen."""
    revoked_at = NOW - 3 * HOUR
    second = world.trusted(world.OTHER_STATUS, world.Use.STATUS, BEGINS)
    both = replace(world.BEIJING, keys=(*world.BEIJING.keys, second))
    gone = replace(both, keys=(*world.BEIJING.keys, replace(second, revoked_at=revoked_at)))
    verifier = door(trust=signed(replace(world.TRUST, authorities=(both,))), lists={})
    verifier.take_list(world.DAILY, world.status_list(world.DAILY, world.OTHER_STATUS, iat=NOW + seen))
    verifier.take_trust(signed(replace(world.TRUST, version=6, authorities=(gone,))))
    content = world.status_list(world.DAILY, iat=NOW + old)
    if NOW + old < min(NOW + seen, revoked_at):
        with pytest.raises(Refused, match="rolled_back"):
            verifier.take_list(world.DAILY, content)
        assert verifier.verify(OURS, now=NOW) == NotVerified(Reason.ROLLED_BACK)
    else:
        verifier.take_list(world.DAILY, content)
        assert isinstance(verifier.verify(OURS, now=NOW), Verified)


# ------------------------------------------------------------------------------------------------- marks kept before


def test_a_file_of_marks_that_name_no_key_is_read_and_lets_nothing_back(tmp_path: Path) -> None:
    file = tmp_path / "marks.json"
    kept = {"trust": 5, "time": world.LISTS_AT + 300, f"list {world.DAILY}": world.LISTS_AT + 300}
    file.write_text(json.dumps({"root": world.ROOT.fingerprint.hex(), "marks": kept}))
    marks = MarksInFile(file)
    verifier = Verifier(world.ROOT, marks)
    verifier.take_trust(signed())
    with pytest.raises(Refused, match="rolled_back"):
        verifier.take_list(world.DAILY, world.ALL_LISTS[world.DAILY])
    ended = world.shown(world.paper(expires=world.LISTS_AT + 270))
    assert verifier.verify(ended, now=NOW - 30 * DAY) == NotVerified(Reason.EXPIRED)
    verifier.take_list(world.DAILY, world.status_list(world.DAILY, iat=world.LISTS_AT + 300))
    marks.keep()
    again = MarksInFile(file).marks
    assert again.items() >= kept.items()
    assert again[of_key(world.STATUS.key_id)] == world.LISTS_AT + 300
