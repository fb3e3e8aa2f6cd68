"""The life of a city's keys as a chain of trust lists: the first one, the next keys, an emergency, the end.

Each function gives the next list, unsigned, and has asked `successor` whether it may follow. Whoever has the root keys
signs it (`trust.sign_trust`); whoever keeps the state directory installs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kangma.errors import Code, Refused
from kangma.signing.keys import Environment, PublicKey
from kangma.signing.trust import (
    ANNOUNCEMENT,
    ISSUING,
    KINDS,
    LIFE_OF_A_LIST,
    Authority,
    Ceilings,
    TrustedKey,
    TrustList,
    Use,
    successor,
)
from kangma.terms import DAY, HOUR, Moment, Text

#: How long two keys of one use may both sign, so that the change needs no minute to be met.
OVERLAP = 2 * DAY
#: Between a draft and its installation root officers have to meet: the announcement begins only then.
TIME_TO_SIGN = 24 * HOUR


def first_list(
    environment: Environment,
    *,
    authority_id: str,
    name: Text,
    base: str,
    origin: str,
    zone: str,
    keys: Mapping[Use, PublicKey],
    ceilings: Ceilings,
    now: Moment,
) -> TrustList:
    """Version 1. Its keys begin at once: there was nobody to whom they could have been announced."""
    made = tuple(
        _begin(public, environment, use, now, now, ceilings if use in ISSUING else None)
        for use, public in keys.items()
    )
    authority = Authority(authority_id, name, base, origin, made, zone)
    return TrustList(1, now, now + LIFE_OF_A_LIST, environment, (authority,))


def _begin(
    public: PublicKey,
    environment: Environment,
    use: Use,
    announced_at: Moment,
    not_before: Moment,
    ceilings: Ceilings | None,
    kinds: tuple[str, ...] = KINDS,
) -> TrustedKey:
    return TrustedKey(
        public,
        environment,
        use,
        not_before,
        not_before + use.longest,
        announced_at,
        None,
        ceilings,
        kinds if use is Use.CREDENTIAL else (),
    )


def announce_next(
    current: TrustList,
    new_keys: Mapping[Use, PublicKey],
    now: Moment,
    *,
    starts: Moment | None = None,
    time_to_sign: int = TIME_TO_SIGN,
) -> TrustList:
    """The next list: with these keys of the publisher announced, without those that nobody needs any more, and valid
    for another 90 days. Without new keys it only renews the list.

    A new key has the ceilings and kinds of the newest key of its use. It begins at `starts`, or two days before that
    key ends, or as soon after as leaves `time_to_sign` seconds until the list is installed and a day to announce it.
    Raises Refused (not_next) for `starts` less than a day from now, and for a use of which the publisher had no key.
    """
    before = {use: _newest(current, use) for use in new_keys}
    added = []
    for use, public in new_keys.items():
        last = before[use]
        begins = (
            max(last.not_after - OVERLAP, now + time_to_sign + ANNOUNCEMENT) if starts is None else starts
        )
        added.append(_begin(public, current.environment, use, now, begins, last.ceilings, last.kinds))
    return _next(current, now, (*current.publisher.keys, *added))


def emergency(current: TrustList, key_id: bytes, replacement: PublicKey | None, now: Moment) -> TrustList:
    """The next list: with this key revoked and, where it is the publisher's, a replacement that begins at once.

    Raises Refused (not_next) for a key that the list does not have or has revoked already, and for a replacement of
    another city's key: that city announces it.
    """
    key, whose = current.key(key_id), current.authority_of(key_id)
    if key is None or whose is None:
        raise Refused(Code.NOT_NEXT, hint="the list has no key of this id")
    if key.revoked_at is not None:
        raise Refused(Code.NOT_NEXT, hint="this key is revoked already")
    # An announced key that is revoked before it began is revoked all the same.
    revoked = replace(key, revoked_at=now)
    if replacement is not None and whose is not current.publisher:
        raise Refused(Code.NOT_NEXT, hint="another city's key is replaced by that city")
    keys = tuple(revoked if k.id == key_id else k for k in whose.keys)
    if replacement is not None:
        begun = _begin(replacement, current.environment, key.use, now, now, key.ceilings, key.kinds or KINDS)
        keys = (*keys, begun)
    return _next(current, now, keys, whose=whose.id)


def recognise(current: TrustList, other: Authority, now: Moment) -> TrustList:
    """The next list: with another city's entry as that city's own list has it, new or in place of the one here.

    Keys that this list has revoked stay revoked, and revoked ones that the other list has dropped stay.
    Raises Refused (not_next) for the publisher's own entry.
    """
    if other.id == current.publisher.id:
        raise Refused(Code.NOT_NEXT, hint="a city announces its own keys")
    here = current.authority(other.id)
    if here is not None:
        theirs = {k.id for k in other.keys}
        ours = {k.id: k for k in here.keys if k.revoked_at is not None}
        kept = [k for k in here.keys if k.id not in theirs and (k.id in ours or now < k.needed_until)]
        other = replace(other, keys=(*(ours.get(k.id, k) for k in other.keys), *kept))
    authorities = [a for a in current.authorities if a.id != other.id]
    return _checked(current, _version(current, now, (*authorities, other)))


def retire(current: TrustList, now: Moment) -> TrustList:
    """The next list: without those keys of the publisher that nobody needs any more."""
    return _next(current, now, current.publisher.keys)


def sunset_ready(trust: TrustList, now: Moment) -> tuple[TrustedKey, ...]:
    """The publisher's credential keys whose private half may be published: everything that they signed is over for
    good, and from then on anybody could have made it.

    Status and log keys are never published. What they signed is the public's evidence against the city, not the
    city's against a resident, and it must stay beyond doubt.
    """
    return tuple(k for k in over(trust, now) if k.use is Use.CREDENTIAL)


def over(trust: TrustList, now: Moment) -> tuple[TrustedKey, ...]:
    """The publisher's keys, of any use, whose private half nobody needs any more: 28 days past their end."""
    return tuple(k for k in trust.publisher.keys if k.needed_until <= now)


def _newest(current: TrustList, use: Use) -> TrustedKey:
    """The key of the publisher that begins last and is not revoked; a revoked one where there is no other."""
    found = [k for k in current.publisher.keys if k.use is use]
    if not found:
        raise Refused(Code.NOT_NEXT, hint=f"there was never a {use} key that a next one could follow")
    return max(found, key=lambda k: (k.revoked_at is None, k.not_before, k.id))


def _next(
    current: TrustList, now: Moment, keys: tuple[TrustedKey, ...], *, whose: str | None = None
) -> TrustList:
    """The next version, with these keys of one authority (the publisher) and nobody's that are over."""
    name = current.publisher.id if whose is None else whose
    authorities = tuple(replace(a, keys=keys) if a.id == name else a for a in current.authorities)
    return _checked(current, _version(current, now, authorities))


def _version(current: TrustList, now: Moment, authorities: tuple[Authority, ...]) -> TrustList:
    """The version after `current`, issued now, with these authorities and without keys that are over."""
    kept = tuple(replace(a, keys=_without_what_is_over(a.keys, now)) for a in authorities)
    return TrustList(
        current.version + 1, now, now + LIFE_OF_A_LIST, current.environment, kept, current.digest
    )


def _without_what_is_over(keys: tuple[TrustedKey, ...], now: Moment) -> tuple[TrustedKey, ...]:
    """Revoked keys stay for good, and the last key of a use stays for the next one to follow."""
    last = {k.use: k.id for k in sorted(keys, key=lambda k: (k.not_before, k.id))}
    return tuple(k for k in keys if k.revoked_at is not None or now < k.needed_until or last[k.use] == k.id)


def _checked(current: TrustList, made: TrustList) -> TrustList:
    successor(current, made)
    return made
