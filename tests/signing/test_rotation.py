"""A key is announced before it signs, a stolen one is replaced at once, and nothing that was revoked comes back."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signing_city import NOW, first, signer, verified

from kangma.errors import Code, Refused
from kangma.signing.keys import Environment
from kangma.signing.rotation import (
    OVERLAP,
    announce_next,
    emergency,
    over,
    recognise,
    retire,
    sunset_ready,
)
from kangma.signing.trust import Authority, TrustedKey, TrustList, Use, successor
from kangma.terms import DAY, HOUR

LATER = NOW + 20 * DAY
NEXT = {Use.CREDENTIAL: signer("credential 2").public, Use.STATUS: signer("status 2", Use.STATUS).public}


def announced() -> TrustList:
    return announce_next(first(), NEXT, LATER)


def key(trust: TrustList, use: Use = Use.CREDENTIAL, number: int = -1) -> TrustedKey:
    return [k for k in trust.publisher.keys if k.use is use][number]


def with_keys(trust: TrustList, keys: tuple[TrustedKey, ...]) -> TrustList:
    return replace(trust, authorities=(replace(trust.publisher, keys=keys), *trust.authorities[1:]))


def changed(trust: TrustList, old: TrustedKey, **changes: object) -> TrustList:
    """The list with one key changed."""
    keys = (replace(k, **changes) if k.id == old.id else k for k in trust.publisher.keys)  # type: ignore[arg-type]
    return with_keys(trust, tuple(keys))


def not_next(old: TrustList, new: TrustList, hint: str, **more: object) -> None:
    with pytest.raises(Refused) as refused:
        successor(old, new, **more)  # type: ignore[arg-type]
    assert refused.value.code is Code.NOT_NEXT
    assert hint in refused.value.hint


# ---------------------------------------------------------------------------------------------------- the usual change


def test_a_city_changes_its_keys_every_four_weeks_without_a_gap() -> None:
    """A year of it: at every moment there is a key to sign with, announced a day before, and every list follows."""
    trust, at, n = first(), NOW, 2
    lists = [trust]
    while at < NOW + 365 * DAY:
        at += 25 * DAY
        new = {u: signer(f"{u} {n}", u).public for u in (Use.CREDENTIAL, Use.STATUS)}
        trust = announce_next(trust, new, at)
        successor(lists[-1], trust, now=at + 20 * HOUR)  # officers took 20 hours to sign
        lists.append(verified(trust))
        n += 1
        for hour in range(0, 25 * 24, 7):
            for use in (Use.CREDENTIAL, Use.STATUS):
                (signing, *_) = trust.keys(use, at + hour * HOUR)
                assert signing.announced_at + DAY <= signing.not_before or signing.announced_at == NOW
        assert len(trust.publisher.keys) <= 9  # keys that nobody needs any more have left
    for a, b in combinations(lists, 2):
        successor(a, b)  # whoever was away for some versions may still come along
        with pytest.raises(Refused) as refused:
            successor(b, a)
        assert refused.value.code is Code.ROLLED_BACK


def test_a_next_key_is_like_the_one_it_follows() -> None:
    old, new = key(announced(), number=0), key(announced())
    assert (new.ceilings, new.kinds) == (old.ceilings, old.kinds)
    assert new.not_before == old.not_after - OVERLAP


def test_a_late_announcement_still_leaves_a_day_to_sign_and_a_day_to_hear_of_it() -> None:
    late = NOW + 29 * DAY + 12 * HOUR
    assert key(announce_next(first(), NEXT, late)).not_before == late + 48 * HOUR


def test_a_use_that_never_had_a_key_has_no_next_one() -> None:
    with pytest.raises(Refused):
        announce_next(first(), {Use.WITNESS: signer("w", Use.WITNESS).public}, LATER)


# -------------------------------------------------------------------------------------------------- the announcement


def test_nobody_shortens_the_announcement_without_revoking() -> None:
    trust = first()
    with pytest.raises(Refused):
        announce_next(trust, NEXT, LATER, starts=LATER + DAY - 1)
    made = announce_next(trust, NEXT, LATER, starts=LATER + DAY)
    new = key(made)
    hint = "24 hours"
    not_next(trust, changed(made, new, not_before=LATER + DAY - 1, not_after=LATER + 2 * DAY), hint)
    # nor by claiming that it was announced before the list that brings it
    early = changed(made, new, announced_at=LATER - 9 * DAY, not_before=LATER, not_after=LATER + DAY)
    not_next(trust, early, "announced by the list that brings it")
    # nor by a list that says to be older than it is: who installs it knows when it came out
    successor(trust, made, now=LATER)
    not_next(trust, made, hint, now=LATER + 1)
    # nor by revoking a key of another use, one that is over, or one that nobody had
    begun = {"not_before": LATER, "not_after": LATER + DAY}
    at_once = changed(made, new, **begun)
    not_next(trust, changed(at_once, key(made, Use.LOG), revoked_at=LATER), hint)
    back_dated = changed(at_once, key(made, number=0), revoked_at=LATER - 1)
    not_next(trust, back_dated, "when the list that says so is issued")
    much_later = NOW + 40 * DAY
    ended = announce_next(trust, NEXT, much_later)
    past = {"not_before": much_later, "not_after": much_later + DAY}
    spent = changed(changed(ended, key(ended), **past), key(ended, number=0), revoked_at=much_later)
    not_next(trust, spent, hint)
    decoy = replace(new, public=signer("decoy").public, revoked_at=LATER)
    not_next(trust, with_keys(at_once, (*at_once.publisher.keys, decoy)), hint)


def test_an_announced_key_is_not_moved_forward_by_the_next_list() -> None:
    trust = announced()
    renewed = retire(trust, LATER + HOUR)
    new = key(renewed)
    not_next(
        trust,
        changed(renewed, new, not_before=new.not_before - 1, not_after=new.not_after - 1),
        "changes in nothing",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": NOW + 30 * DAY - 1},
        {"kinds": ("phone",)},
        {"ceilings": replace(key(first()).ceilings, worse_an_hour=10**9)},  # type: ignore[type-var]
    ],
)
def test_a_key_changes_in_nothing_but_in_being_revoked(changes: dict[str, object]) -> None:
    renewed = retire(first(), LATER)
    not_next(first(), changed(renewed, key(renewed), **changes), "changes in nothing")


# -------------------------------------------------------------------------------------------------- an emergency


def test_a_stolen_key_is_replaced_by_one_that_signs_at_once() -> None:
    stolen = key(first())
    made = verified(emergency(first(), stolen.id, signer("replacement").public, LATER))
    successor(first(), made, now=LATER)
    revoked = made.key(stolen.id)
    assert revoked is not None
    assert revoked.revoked_at == LATER
    assert not revoked.signs(LATER)
    (signing,) = made.keys(Use.CREDENTIAL, LATER)
    assert signing.id == signer("replacement").key_id


def test_a_key_is_revoked_without_replacement_where_there_is_one_already() -> None:
    made = emergency(announced(), key(announced()).id, None, LATER + HOUR)
    assert [k.id for k in made.keys(Use.CREDENTIAL, LATER + HOUR)] == [key(first()).id]


def test_a_revoked_key_stays_revoked() -> None:
    stolen = key(first())
    trust = emergency(first(), stolen.id, signer("replacement").public, LATER)
    renewed = retire(trust, LATER + DAY)
    not_next(trust, changed(renewed, stolen, revoked_at=None), "stays revoked")
    not_next(trust, changed(renewed, stolen, revoked_at=LATER + 1), "stays revoked")
    gone = with_keys(renewed, tuple(k for k in renewed.publisher.keys if k.id != stolen.id))
    not_next(trust, gone, "stays in the list for good")
    # years later as well
    much_later = LATER + 900 * DAY
    assert retire(trust, much_later).key(stolen.id) is not None
    with pytest.raises(Refused):
        emergency(trust, stolen.id, None, LATER + DAY)
    with pytest.raises(Refused):
        emergency(trust, bytes(8), None, LATER)


# -------------------------------------------------------------------------------------------------- the chain


def test_a_list_names_the_one_before_it() -> None:
    made = announced()
    not_next(first(), replace(made, previous=bytes(32)), "another list")
    # of two lists of one version only one has a successor
    fork = announce_next(first(), NEXT, LATER + 1)
    not_next(fork, retire(made, LATER + DAY), "another list")


def test_a_list_is_of_the_same_city_and_environment_and_not_of_an_earlier_day() -> None:
    trust, made = first(), announced()
    not_next(trust, replace(first(Environment.DEVELOPMENT), version=2, previous=trust.digest), "environment")
    not_next(trust, replace(first(city="cn-yy"), version=2, previous=trust.digest), "publisher")
    with pytest.raises(Refused):
        retire(made, LATER - 1)
    not_next(trust, made, "not issued yet", now=LATER - 1)
    not_next(trust, made, "or over", now=made.expires)


def test_where_a_citys_lists_and_log_lie_stays() -> None:
    for changes in ({"base": "https://b.example"}, {"origin": "b.example/log"}, {"zone": "Asia/Urumqi"}):
        made = retire(first(), LATER)
        moved = replace(made, authorities=(replace(made.publisher, **changes),))  # type: ignore[arg-type]
        not_next(first(), moved, "base, origin and zone")


def test_a_key_leaves_28_days_after_its_end_and_does_not_come_back() -> None:
    trust = announced()
    old = key(trust, number=0)
    until = old.not_after + 28 * DAY
    for at, there in ((until - 1, True), (until, False)):
        made = retire(trust, at)
        assert (made.key(old.id) is not None) is there
    early = retire(trust, until - 1)
    gone = with_keys(early, tuple(k for k in early.publisher.keys if k.id != old.id))
    not_next(trust, gone, "28 days after its end")
    without = retire(trust, until)
    back = announce_next(without, {Use.CREDENTIAL: old.public}, until + DAY)
    not_next(without, back, "does not come back", seen={old.id})


# -------------------------------------------------------------------------------------------------- another city


def other_city() -> Authority:
    return first(city="cn-yy").publisher


def test_a_city_recognises_another_by_listing_it() -> None:
    made = verified(recognise(first(), other_city(), LATER))
    theirs = made.authority("cn-yy")
    assert theirs == other_city()
    assert made.publisher == first().publisher
    assert [k.id for k in made.keys(Use.CREDENTIAL, LATER, authority="cn-yy")] == [
        key(first(city="cn-yy")).id
    ]
    with pytest.raises(Refused):
        recognise(first(), first().publisher, LATER)


def test_the_other_citys_new_keys_come_with_its_own_dates() -> None:
    ours = recognise(first(), other_city(), NOW + DAY)
    theirs = announce_next(first(city="cn-yy"), {Use.CREDENTIAL: signer("yy 2").public}, LATER)
    made = recognise(ours, theirs.publisher, LATER + 3 * DAY)
    successor(ours, made, now=LATER + 3 * DAY)
    stolen = key(theirs, number=0)
    struck = emergency(theirs, stolen.id, signer("yy 3").public, LATER + 4 * DAY)
    after = recognise(made, struck.publisher, LATER + 4 * DAY)
    assert after.key(signer("yy 3").key_id) is not None
    # an older list of theirs takes nothing back
    again = recognise(after, theirs.publisher, LATER + 5 * DAY)
    assert again.key(stolen.id) == after.key(stolen.id)


def test_another_citys_stolen_key_is_revoked_here_and_replaced_there() -> None:
    ours = recognise(first(), other_city(), LATER)
    stolen = other_city().keys[0]
    made = emergency(ours, stolen.id, None, LATER + DAY)
    assert made.keys(stolen.use, LATER + DAY, authority="cn-yy") == ()
    assert made.publisher == ours.publisher
    with pytest.raises(Refused):
        emergency(ours, stolen.id, signer("x").public, LATER + DAY)


# -------------------------------------------------------------------------------------------------- sunset


def test_a_private_key_may_be_published_28_days_after_its_end_and_not_a_second_before() -> None:
    trust = first()
    old = key(trust)
    assert sunset_ready(trust, old.not_after + 28 * DAY - 1) == ()
    assert sunset_ready(trust, old.not_after + 28 * DAY) == (old,)
    # what others need as evidence against the city is never published
    far = NOW + 2_000 * DAY
    assert {k.use for k in sunset_ready(trust, far)} == {Use.CREDENTIAL}
    assert {k.use for k in over(trust, far)} == {Use.CREDENTIAL, Use.STATUS, Use.LOG}


# -------------------------------------------------------------------------------------------------- any history


@given(
    st.lists(
        st.tuples(st.sampled_from(["announce", "emergency", "retire", "recognise"]), st.integers(0, 40)),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=60)
def test_in_every_history_each_list_follows_on_each_before_it_and_nothing_is_un_revoked(
    steps: list[tuple[str, int]],
) -> None:
    trust, at = first(), NOW
    lists, revoked = [trust], {}
    for n, (step, days) in enumerate(steps):
        at += days * DAY
        if step == "announce":
            trust = announce_next(trust, {Use.CREDENTIAL: signer(f"{n}").public}, at)
        elif step == "emergency":
            live = [k for k in trust.publisher.keys if k.revoked_at is None and k.not_after > at]
            if not live:
                continue
            new = signer(f"{n}", live[-1].use).public
            trust = emergency(trust, live[-1].id, new, at)
            revoked[live[-1].id] = at
        elif step == "retire":
            trust = retire(trust, at)
        else:
            trust = recognise(trust, other_city(), at)
        lists.append(trust)
    for a, b in combinations(lists, 2):
        successor(a, b)
    for key_id, since in revoked.items():
        found = trust.key(key_id)
        assert found is not None
        assert found.revoked_at == since
