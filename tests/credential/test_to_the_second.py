"""Every limit of the verifier: the last second or byte that is good, and the first that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from at_the_door import NOW, door, signed, world

from kangma.credential import holder, text
from kangma.credential.outcome import NotVerified, Outcome, Reason, Verified
from kangma.errors import Refused
from kangma.signing import cose
from kangma.terms import DAY, HOUR

MIDNIGHT = world.midnight(1)


def told(
    code: str, now: int, *, uri: str = world.EXTRA, list_at: int | None = None, trust: bytes | None = None
) -> str:
    """ "verified", "stale", or the reason."""
    content = world.status_list(uri, iat=min(now, NOW) - 60 if list_at is None else list_at)
    found = door(lists={uri: content}, trust=trust).verify(code, now=now)
    return found.outcome.value if isinstance(found, Verified) else found.reason.value


def test_a_code_begins_and_ends_with_half_a_minute_for_clocks() -> None:
    tomorrow = world.shown(world.paper(issued=MIDNIGHT, expires=MIDNIGHT + DAY))
    today = world.shown(world.paper(expires=MIDNIGHT))
    assert (told(tomorrow, MIDNIGHT - 31), told(tomorrow, MIDNIGHT - 30)) == ("not_yet", "verified")
    assert (told(today, MIDNIGHT + 29), told(today, MIDNIGHT + 30)) == ("verified", "expired")


def test_a_key_begins_with_half_a_minute_and_ends_after_four_weeks() -> None:
    early = world.shown(world.paper(), world.NEXT)
    assert (told(early, MIDNIGHT - 31), told(early, MIDNIGHT - 30)) == ("key_not_yet", "verified")
    late = world.shown(world.paper(issued=world.midnight(-5) - 1, expires=world.midnight(22)), world.OLD)
    over = world.midnight(20)
    assert told(late, over - 1, list_at=over - 60) == "verified"
    assert told(late, over, list_at=over - 60) == "key_over"


def test_a_key_signs_for_three_days_after_its_end_and_no_further() -> None:
    end = world.midnight(-8) + 3 * DAY
    for issued, said in ((end - 1, "verified"), (end, "lives_too_long")):
        assert (
            told(world.shown(world.paper(issued=issued, expires=issued + 20 * DAY), world.OLD), NOW) == said
        )


@pytest.mark.parametrize(
    ("claims", "longest"),
    [(world.phone(), 25 * HOUR), (world.paper(issued=world.midnight(0)), 28 * DAY + HOUR)],
)
def test_how_long_a_code_may_be_valid(claims: world.Claims, longest: int) -> None:
    for length, said in ((longest, "verified"), (longest + 1, "lives_too_long")):
        code = world.shown(claims._replace(uri=world.EXTRA, expires=claims.issued + length))
        assert told(code, NOW) == said


def test_a_proxy_lives_a_day_too() -> None:
    proxy = world.phone(kind=world.Kind.PROXY, uri=world.EXTRA)
    assert told(world.shown(proxy._replace(expires=proxy.issued + 25 * HOUR + 1)), NOW) == "lives_too_long"


def test_an_expired_trust_list_is_stale_at_once_and_nothing_after_thirty_days() -> None:
    ends = NOW + HOUR
    trust = signed(replace(world.TRUST, expires=ends))
    code = world.shown(world.paper())
    assert (told(code, ends, trust=trust), told(code, ends + 1, trust=trust)) == ("verified", "stale")
    found = door(trust=trust, lists={world.EXTRA: world.ALL_LISTS[world.EXTRA]}).verify(code, now=ends + 1)
    assert getattr(found, "stale_since", None) == ends
    last = ends + 30 * DAY
    long_paper = world.shown(world.paper(issued=world.midnight(10), expires=world.midnight(37)))
    for now, said in ((last - 1, "list_over"), (last, "no_trust")):
        assert told(long_paper, now, list_at=world.midnight(19), trust=trust) == said


def test_the_earlier_of_list_and_trust_list_says_since_when() -> None:
    code, ends = world.shown(world.paper()), NOW + HOUR
    for list_at, since in ((NOW - 23 * HOUR - 1, ends - 1), (NOW - 23 * HOUR + 9, ends)):
        verifier = door(
            trust=signed(replace(world.TRUST, expires=ends)),
            lists={world.EXTRA: world.status_list(world.EXTRA, iat=list_at)},
        )
        found = verifier.verify(code, now=ends + 20)
        assert isinstance(found, Verified)
        assert (found.outcome, found.stale_since) == (Outcome.STALE, since)


def test_a_status_key_signs_from_its_first_second_to_the_last_before_its_end() -> None:
    code = world.shown(world.paper(issued=world.midnight(-10), expires=world.midnight(17)))
    begins, ends = world.midnight(-10), world.midnight(20)
    for at, good in ((begins - 1, False), (begins, True), (ends - 1, True), (ends, False)):
        verifier = door(lists={})
        if good:
            verifier.take_list(world.EXTRA, world.status_list(world.EXTRA, iat=at))
        else:
            with pytest.raises(Refused, match="untrusted"):
                verifier.take_list(world.EXTRA, world.status_list(world.EXTRA, iat=at))
            assert verifier.verify(code, now=NOW) == NotVerified(Reason.BAD_LIST)


def test_a_list_is_good_for_seven_days_and_the_same_list_may_come_again() -> None:
    verifier = door(lists={})
    week = world.status_list(world.EXTRA, life=7 * DAY)
    for _ in range(2):
        verifier.take_list(world.EXTRA, week)
    with pytest.raises(Refused, match="bad_message"):
        verifier.take_list(world.EXTRA, world.status_list(world.EXTRA, life=7 * DAY + 1))
    code = world.shown(world.paper(issued=world.midnight(0)))
    at = world.LISTS_AT
    assert told(code, at + 7 * DAY - 1, list_at=at) == "stale"
    assert told(code, at + 7 * DAY, list_at=at) == "list_over"


def test_the_last_index_of_a_list_is_in_it_and_the_next_is_not() -> None:
    assert told(world.shown(world.paper(1023)), NOW) == "verified"
    assert told(world.shown(world.paper(1024)), NOW) == "no_such_index"


def test_the_window_of_a_proof() -> None:
    for lag, said in (
        (-31, "proof_ahead"),
        (-30, "verified"),
        (0, "verified"),
        (59, "verified"),
        (60, "proof_old"),
    ):
        begun = NOW - NOW % 30
        code = world.shown(world.phone(uri=world.EXTRA), at=begun)
        assert told(code, begun + lag, list_at=begun - 300) == said


def test_a_proof_has_a_four_byte_step() -> None:
    made = world.issue.sign(world.phone(), world.CREDENTIAL)
    with pytest.raises(Refused, match="bad_message"):
        holder.read(holder.prove(made, 65_535, world.PHONE))
    assert holder.read(holder.prove(made, 65_536, world.PHONE))[0] == 65_536
    assert holder.step_of(NOW) == NOW // 30


def test_time_is_the_newest_of_clock_trust_list_and_status_list() -> None:
    expired_by = {"list": world.LISTS_AT, "trust": world.TRUST.issued}
    for what, at in expired_by.items():
        lists = {world.EXTRA: world.ALL_LISTS[world.EXTRA]} if what == "list" else {}
        verifier = door(lists=lists)
        for ends, said in ((at - 30, Reason.EXPIRED), (at - 29, None if lists else Reason.NO_LIST)):
            found = verifier.verify(world.shown(world.paper(expires=ends)), now=NOW - 9 * DAY)
            assert getattr(found, "reason", None) == said, what


def test_a_key_id_of_another_length_is_no_key_id() -> None:
    payload = world.claims_.encode(world.paper())
    for key_id in (b"", world.CREDENTIAL.key_id[:-1], world.CREDENTIAL.key_id + b"\0"):
        protected = cose.dumps({1: -7, 4: key_id})
        signature = world.CREDENTIAL.sign(cose.dumps(["Signature1", protected, b"", payload]))
        content = cose.dumps(world.cbor2.CBORTag(18, [protected, {}, payload, signature]))
        assert door().verify(text.pack(content), now=NOW) == NotVerified(Reason.BAD_COSE)


def test_true_in_place_of_1_is_another_header_although_python_says_they_are_equal() -> None:
    payload = world.claims_.encode(world.paper())
    protected = b"\xa2\x04\x48" + world.CREDENTIAL.key_id + b"\xf5\x26"
    signature = world.CREDENTIAL.sign(cose.dumps(["Signature1", protected, b"", payload]))
    content = cose.dumps(world.cbor2.CBORTag(18, [protected, {}, payload, signature]))
    assert len(protected) == 13
    assert door().verify(text.pack(content), now=NOW) == NotVerified(Reason.BAD_COSE)
