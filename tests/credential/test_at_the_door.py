"""What a code is at a door, in the words of those who stand there."""

from __future__ import annotations

import dataclasses

import pytest
from at_the_door import NOW, door, world

from kangma.credential import holder, issue, text
from kangma.credential.claims import Kind
from kangma.credential.outcome import Colour, NotVerified, Outcome, Reason, Verified
from kangma.signing import cose
from kangma.terms import DAY, HOUR


def seen(text_: str, now: int = NOW, **held: object) -> Verified | NotVerified:
    return door(**held).verify(text_, now=now)  # type: ignore[arg-type]


def test_a_green_phone_is_green_and_says_until_when_and_whose() -> None:
    found = seen(world.shown(world.phone()))
    assert isinstance(found, Verified)
    assert (found.colour, found.kind, found.mask, found.issuer) == (Colour.GREEN, Kind.PHONE, "张*", "cn-bj")
    assert found.valid_until == world.midnight(1)
    assert (found.outcome, found.lists_age, found.stale_since) == (Outcome.VERIFIED, 127, None)
    assert not found.check_id_card


def test_of_paper_the_door_checks_the_id_card() -> None:
    found = seen(world.shown(world.paper()))
    assert isinstance(found, Verified)
    assert found.check_id_card


def test_a_nurse_whose_code_turned_red_this_morning_is_red_with_the_same_qr() -> None:
    before, after = world.status_list(world.DAILY, iat=NOW - 600), world.ALL_LISTS[world.DAILY]
    index = world.RED
    verifier = door(lists={world.OTHER_DAILY: world.ALL_LISTS[world.OTHER_DAILY]})
    green = world.np.zeros(1024, world.np.uint8)
    lst = world.lists.compress(world.lists.pack(green, 4))
    first = world.to_cwt(
        world.ListClaims(world.DAILY, NOW - 600, NOW - 600 + 7 * DAY, 300, 4, lst, 41, 9), world.STATUS
    )
    assert before != first
    code = world.shown(world.phone(index))
    verifier.take_list(world.DAILY, first)
    assert getattr(verifier.verify(code, now=NOW), "colour", None) is Colour.GREEN
    verifier.take_list(world.DAILY, after)
    assert getattr(verifier.verify(code, now=NOW), "colour", None) is Colour.RED


def test_a_picture_of_a_code_is_refused_a_minute_later() -> None:
    begun = NOW - NOW % 30
    picture = world.shown(world.phone(), at=begun)
    for later in range(60):
        assert isinstance(seen(picture, begun + later), Verified), later
    for later in (60, 61, 90, 3600):
        assert seen(picture, begun + later) == NotVerified(Reason.PROOF_OLD)


def test_clocks_that_differ_by_half_a_minute_do_not_matter() -> None:
    """The phone shows what it proved in the last half minute; the door's clock is up to 30 s off either way."""
    verifier = door()
    for moment in range(NOW, NOW + 30):
        code = world.shown(world.phone(), at=moment)
        for skew in (-30, -29, -1, 0, 1, 29, 30):
            found = verifier.verify(code, now=moment + skew)
            assert isinstance(found, Verified), (moment % 30, skew)


def test_no_failure_ever_shows_a_colour() -> None:
    assert {f.name for f in dataclasses.fields(NotVerified)} == {"reason"}
    assert not hasattr(NotVerified(Reason.WITHDRAWN), "colour")


def test_old_lists_are_said_to_be_old_and_then_say_nothing() -> None:
    code = world.shown(world.paper())
    for age, outcome in (
        (0, "verified"),
        (24 * HOUR, "verified"),
        (24 * HOUR + 1, "stale"),
        (7 * DAY - 1, "stale"),
    ):
        content = world.status_list(world.EXTRA, iat=NOW - age)
        found = seen(code, lists={world.EXTRA: content})
        assert (found.outcome.value, getattr(found, "lists_age", None)) == (outcome, age)
        if outcome == "stale":
            assert getattr(found, "stale_since", None) == NOW - age + 24 * HOUR
    over = world.status_list(world.EXTRA, iat=NOW - 7 * DAY)
    assert seen(code, lists={world.EXTRA: over}) == NotVerified(Reason.LIST_OVER)


def test_what_was_issued_yesterday_is_checked_today_with_everything_down() -> None:
    """A phone and a door that both were online yesterday at ten; now it is nine in the morning."""
    yesterday = world.midnight(0) - 14 * HOUR
    tomorrow = f"{world.BASE}/status/{world.TODAY}/0"
    verifier = door(lists={tomorrow: world.status_list(tomorrow, iat=yesterday)})
    found = verifier.verify(
        world.shown(world.phone(), at=world.midnight(0) + 9 * HOUR), now=world.midnight(0) + 9 * HOUR
    )
    assert isinstance(found, Verified)
    assert found.outcome is Outcome.VERIFIED


def test_what_was_only_opened_is_not_verified_and_nobody_can_make_it_look_so() -> None:
    made = issue.sign(world.paper(), world.CREDENTIAL)
    opened = cose.open1(made, most=2048)
    assert not isinstance(opened, Verified)
    assert not hasattr(opened, "colour")
    with pytest.raises(TypeError):
        Verified(Colour.GREEN, Kind.PAPER, "张*", "cn-bj", NOW, 0, None, seal=object())
    with pytest.raises(TypeError):
        Verified(Colour.GREEN, Kind.PAPER, "张*", "cn-bj", NOW, 0, None)  # type: ignore[call-arg]
    real = seen(text.pack(made))
    assert isinstance(real, Verified)
    with pytest.raises(dataclasses.FrozenInstanceError):
        real.colour = Colour.RED  # type: ignore[misc]


def test_a_code_says_four_things_and_where_its_state_stands() -> None:
    """Closed: mask, kind, until when, by whom. No number of a document, no birthday, no reason, no colour."""
    assert set(world.phone()._fields) == {
        "issuer",
        "issued",
        "expires",
        "uri",
        "index",
        "kind",
        "mask",
        "holder",
    }


def test_every_code_of_another_environment_says_so_itself() -> None:
    for environment in (world.Environment.DEVELOPMENT, world.Environment.PRODUCTION):
        wrong = world.key("credential", environment=environment)
        assert seen(world.shown(world.phone(), wrong)) == NotVerified(Reason.WRONG_ENVIRONMENT)


def test_one_bit_turned_anywhere_in_a_code_is_never_verified() -> None:
    verifier = door()
    for claims in (world.phone(), world.paper()):
        content = text.unpack(world.shown(claims))
        for bit in range(8 * len(content)):
            turned = bytearray(content)
            turned[bit // 8] ^= 1 << bit % 8
            assert isinstance(verifier.verify(text.pack(bytes(turned)), now=NOW), NotVerified), bit


def test_a_code_that_is_cut_off_anywhere_is_never_verified() -> None:
    verifier = door()
    for claims in (world.phone(), world.paper()):
        code = world.shown(claims)
        content = text.unpack(code)
        for end in range(len(code)):
            assert isinstance(verifier.verify(code[:end], now=NOW), NotVerified)
        for end in range(len(content)):
            assert isinstance(verifier.verify(text.pack(content[:end]), now=NOW), NotVerified)


def test_the_proof_is_of_this_phone_this_code_and_this_half_minute() -> None:
    made, other = (issue.sign(world.phone(i), world.CREDENTIAL) for i in (world.GREEN, world.YELLOW))
    step = holder.step_of(NOW)
    verifier = door()
    for proof in (
        holder.prove(made, step, world.STRANGER),
        holder.prove(other, step, world.PHONE),
        holder.prove(made, step - 1, world.PHONE)[:2]
        + holder.prove(made, step, world.PHONE)[2:6]
        + holder.prove(made, step - 1, world.PHONE)[6:],
    ):
        assert verifier.verify(text.pack(made + proof), now=NOW) == NotVerified(Reason.BAD_PROOF)
