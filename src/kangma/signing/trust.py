"""Whom to believe: the root, three keys kept offline, and the trust list that any two of them sign.

A list names authorities, and for each the keys that sign its credentials, status lists and log, with their dates. The
first authority is the city that publishes the list; the others are cities whose codes it recognises. A `TrustList`
keeps every rule that a list keeps by itself; `OpenedTrust.verify` says that the root stands behind it; `successor` that
it may follow on another. docs/formats/trust.md is the format byte by byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NoReturn, TypeVar

from kangma.errors import Code, Refused, Where
from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, PublicKey, Signer
from kangma.terms import DAY, END_MOMENT, HOUR, Moment, Text

TYPE = "application/kangma-trust+cose"
#: The longest list that is read: about 200 cities with nine keys each.
MAX_BYTES = 262_144
MAX_ITEMS = 2**16  # of CBOR: a key of all labels has 31 in 145 bytes
MAX_ROOT_BYTES = 1_024
MAX_AUTHORITIES = 512
MAX_KEYS = 64  # of one authority
LIFE_OF_A_LIST = 90 * DAY
LIFE_OF_AN_ISSUING_KEY = 30 * DAY  # credential and status
LIFE_OF_A_LOG_KEY = 400 * DAY  # log and witness
#: Verifiers hear of a key at least this long before its first signature.
ANNOUNCEMENT = 24 * HOUR
#: The longest life of what a key signs, a code on paper: so long after its end a key is still needed to verify.
GRACE = 28 * DAY

_ID = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)
_BASE = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*", re.ASCII)
_ORIGIN = re.compile(
    r"[!-*,-~]{1,64}", re.ASCII
)  # no space and no plus: a signed note splits its lines at them
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,39}", re.ASCII)
_NAME = 64  # characters

T = TypeVar("T")


class Use(StrEnum):
    """What a key signs, and nothing else."""

    CREDENTIAL = "credential"
    STATUS = "status"
    LOG = "log"
    WITNESS = "witness"

    @property
    def algorithm(self) -> Algorithm:
        """ES256 for what browsers verify, Ed25519 for signed notes."""
        return Algorithm.ES256 if self in ISSUING else Algorithm.EDDSA

    @property
    def longest(self) -> int:
        """Seconds from `not_before` to `not_after`, at most."""
        return LIFE_OF_AN_ISSUING_KEY if self in ISSUING else LIFE_OF_A_LOG_KEY


ISSUING = frozenset({Use.CREDENTIAL, Use.STATUS})
KINDS = ("phone", "paper", "proxy")


def _bad(hint: str) -> NoReturn:
    raise Refused(Code.BAD_TRUST_LIST, hint=hint)


def _moments(*times: Moment) -> None:
    if not all(type(t) is int and 0 <= t < END_MOMENT for t in times):
        _bad("times are whole seconds from 1970 to 2200")


# ----------------------------------------------------------------------------------------------------------- the root


@dataclass(frozen=True)
class Root:
    """The keys that trust begins with: of 3 to 7, more than half must sign, so that two lists of one version always
    share a signer. Whoever verifies has pinned its `fingerprint`."""

    environment: Environment
    threshold: int
    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if not (3 <= len(self.keys) <= 7 and len(set(self.keys)) == len(self.keys)):
            _bad("a root has 3 to 7 different keys")
        if not (type(self.threshold) is int and len(self.keys) < 2 * self.threshold <= 2 * len(self.keys)):
            _bad("a threshold is more than half of the keys")
        if any(k.algorithm is not Algorithm.ES256 for k in self.keys):
            _bad("root keys are ES256")

    @cached_property
    def by_id(self) -> Mapping[bytes, PublicKey]:
        """Key id → key."""
        return {k.key_id(self.environment): k for k in self.keys}

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the encoded root, 32 bytes: what is printed on paper, and pinned."""
        return hashlib.sha256(encode_root(self)).digest()


def encode_root(root: Root) -> bytes:
    """The published file `root`."""
    return cose.dumps({1: root.environment.value, 2: root.threshold, 3: [k.raw for k in root.keys]})


def decode_root(content: bytes) -> Root:
    """The root in a file. Nothing makes it believable but its fingerprint. Raises Refused only."""
    item = cose.loads(content, most=MAX_ROOT_BYTES)
    if not (cose.is_map(item, {1, 2, 3}) and isinstance(item[3], (list, tuple)) and len(item[3]) <= 7):
        raise Refused(Code.BAD_MESSAGE, hint="not a root")
    return Root(
        _one_of(Environment, item[1]), item[2], tuple(_public(Algorithm.ES256, raw) for raw in item[3])
    )


# ----------------------------------------------------------------------------------------------------------- the list


@dataclass(frozen=True, slots=True)
class Ceilings:
    """How fast a key may make things worse. A signer refuses beyond it; whoever finds more signed by this key knows
    that it was stolen or that its signer is broken."""

    worse_an_hour: int  # turns to a worse colour in any hour, in number
    worse_ppm_an_hour: int  # the same in millionths of the residents; the larger of the two counts
    credentials_a_minute: int

    def __post_init__(self) -> None:
        for n in (self.worse_an_hour, self.worse_ppm_an_hour, self.credentials_a_minute):
            if not (type(n) is int and 0 <= n < 2**32):
                _bad("ceilings are whole numbers below 2^32")
        if self.worse_ppm_an_hour > 1_000_000:
            _bad("no more than all residents turn")


@dataclass(frozen=True)
class TrustedKey:
    """A public key with what it may do and when: it signs in [not_before, not_after) unless it is revoked."""

    public: PublicKey
    environment: Environment
    use: Use
    not_before: Moment
    not_after: Moment
    announced_at: Moment
    revoked_at: Moment | None = None  # whoever sees this believes nothing that it signed, whenever it signed
    ceilings: Ceilings | None = None  # exactly for CREDENTIAL and STATUS
    kinds: tuple[str, ...] = ()  # of KINDS in their order; exactly for CREDENTIAL, one at least

    def __post_init__(self) -> None:
        _moments(self.announced_at, self.not_before, self.not_after)
        if self.public.algorithm is not self.use.algorithm:
            _bad(f"a {self.use} key is {self.use.algorithm.name}")
        if not self.announced_at <= self.not_before < self.not_after:
            _bad("a key is announced, then begins, then ends")
        if self.not_after - self.not_before > self.use.longest:
            _bad(f"a {self.use} key lives {self.use.longest // DAY} days at most")
        if self.revoked_at is not None:
            _moments(self.revoked_at)
            if self.revoked_at < self.announced_at:
                _bad("a key is not revoked before it is announced")
        if (self.ceilings is not None) != (self.use in ISSUING):
            _bad("credential and status keys have ceilings, and no other")
        if self.kinds != tuple(k for k in KINDS if k in self.kinds):
            _bad("kinds are phone, paper, proxy, in this order")
        if bool(self.kinds) != (self.use is Use.CREDENTIAL):
            _bad("credential keys have kinds, and no other")

    @cached_property
    def id(self) -> bytes:
        """The key id, 8 bytes."""
        return self.public.key_id(self.environment)

    def signs(self, at: Moment) -> bool:
        """Whether it may sign at this moment."""
        return self.revoked_at is None and self.not_before <= at < self.not_after

    @property
    def needed_until(self) -> Moment:
        """From here on nothing that it signed is valid any more: it may leave the list."""
        return self.not_after + GRACE


@dataclass(frozen=True)
class Authority:
    """A city that signs codes."""

    id: str  # the issuer of its credentials, such as "cn-bj"
    name: Text
    base: str  # its status lists lie under base + "/status/"; no "/" at its end
    origin: str  # the name of its log
    keys: tuple[TrustedKey, ...]
    zone: str  # IANA name. Only its form is checked: the list must not depend on the reader's zone data

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            _bad("an authority's id is 1 to 16 of a-z, 0-9 and -, a letter first")
        if not all(0 < len(n) <= _NAME and n.isprintable() for n in (self.name.zh, self.name.en)):
            _bad(f"a name is 1 to {_NAME} printable characters in each language")
        if not (len(self.base) <= 40 and _BASE.fullmatch(self.base)):
            _bad("a base is an http(s) address of 40 bytes at most, without / at its end")
        if not _ORIGIN.fullmatch(self.origin):
            _bad("an origin is 1 to 64 printable ASCII characters without space and plus")
        if not _ZONE.fullmatch(self.zone):
            _bad("a zone is an IANA name")
        if len(self.keys) > MAX_KEYS:
            _bad(f"an authority has {MAX_KEYS} keys at most")

    @cached_property
    def status_keys(self) -> tuple[TrustedKey, ...]:
        """Its keys for status lists, over and revoked ones too."""
        return tuple(k for k in self.keys if k.use is Use.STATUS)

    def signing(self, use: Use, at: Moment) -> tuple[TrustedKey, ...]:
        """Its keys that may sign at this moment, the one that began last first."""
        able = [k for k in self.keys if k.use is use and k.signs(at)]
        return tuple(sorted(able, key=lambda k: (-k.not_before, k.id)))


@dataclass(frozen=True)
class TrustList:
    """One version of the list; as such it says nothing of who signed it."""

    version: int
    issued: Moment
    expires: Moment
    environment: Environment
    authorities: tuple[Authority, ...]  # the first one publishes the list
    previous: bytes | None = None  # the `digest` of the version before; None exactly for version 1

    def __post_init__(self) -> None:
        if not (type(self.version) is int and 1 <= self.version < 2**32):
            _bad("versions count from 1")
        _moments(self.issued, self.expires)
        if not self.issued < self.expires <= self.issued + LIFE_OF_A_LIST:
            _bad(f"a list lives {LIFE_OF_A_LIST // DAY} days at most")
        if (self.previous is None) != (self.version == 1):
            _bad("every version but the first names the one before it")
        if self.previous is not None and len(self.previous) != 32:
            _bad("a digest has 32 bytes")
        if not 1 <= len(self.authorities) <= MAX_AUTHORITIES:
            _bad(f"a list has 1 to {MAX_AUTHORITIES} authorities")
        if len({a.id for a in self.authorities}) != len(self.authorities):
            _bad("an authority is listed once")
        keys = [k for a in self.authorities for k in a.keys]
        if any(k.environment is not self.environment for k in keys):
            _bad("keys are of the list's environment")
        if len({k.id for k in keys}) != len(keys):
            _bad("a key is listed once")
        if any(max(k.announced_at, k.revoked_at or 0) > self.issued for k in keys):
            _bad("nothing is announced or revoked after the list was issued")

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the encoded list, 32 bytes: what the next version names."""
        return hashlib.sha256(encode(self)).digest()

    @property
    def publisher(self) -> Authority:
        return self.authorities[0]

    @cached_property
    def _by_id(self) -> Mapping[bytes, tuple[Authority, TrustedKey]]:
        return {k.id: (a, k) for a in self.authorities for k in a.keys}

    def key(self, key_id: bytes) -> TrustedKey | None:
        """The key of this id, whatever its dates and revoked or not; None when the list has none."""
        found = self._by_id.get(key_id)
        return None if found is None else found[1]

    def authority_of(self, key_id: bytes) -> Authority | None:
        """Whose key this is."""
        found = self._by_id.get(key_id)
        return None if found is None else found[0]

    def authority(self, name: str) -> Authority | None:
        """The authority of this id."""
        return next((a for a in self.authorities if a.id == name), None)

    def keys(self, use: Use, at: Moment, *, authority: str | None = None) -> tuple[TrustedKey, ...]:
        """The keys that may sign for this use at this moment, of the publisher or of another authority, the one that
        began last first."""
        whose = self.publisher if authority is None else self.authority(authority)
        return () if whose is None else whose.signing(use, at)


# ------------------------------------------------------------------------------------------------------------ as bytes


def encode(trust: TrustList) -> bytes:
    """The payload: deterministic CBOR."""
    return cose.dumps(
        {
            1: trust.version,
            2: trust.issued,
            3: trust.expires,
            4: trust.environment.value,
            **({} if trust.previous is None else {5: trust.previous}),
            6: [
                {
                    1: a.id,
                    2: a.name.as_json(),
                    3: a.base,
                    4: a.origin,
                    5: [_encode_key(k) for k in a.keys],
                    6: a.zone,
                }
                for a in trust.authorities
            ],
        }
    )


def _encode_key(key: TrustedKey) -> dict[int, Any]:
    made: dict[int, Any] = {
        1: key.id,
        2: int(key.public.algorithm),
        3: key.public.raw,
        4: key.use.value,
        5: key.not_before,
        6: key.not_after,
        7: key.announced_at,
    }
    if key.revoked_at is not None:
        made[8] = key.revoked_at
    if key.ceilings is not None:
        c = key.ceilings
        made[9] = {1: c.worse_an_hour, 2: c.worse_ppm_an_hour, 3: c.credentials_a_minute}
    if key.kinds:
        made[10] = list(key.kinds)
    return made


def decode(content: bytes) -> TrustList:
    """The list that a payload is. Raises Refused only: as `cose.loads`, `bad_message` for another shape,
    `bad_trust_list` for a rule broken, with the path where there is one."""
    item = cose.loads(content, most=MAX_BYTES, items=MAX_ITEMS)
    if not (cose.is_map(item, {1, 2, 3, 4, 6}, {5}) and isinstance(item.get(5, b""), bytes)):
        _shape("not a trust list")
    environment = _one_of(Environment, item[4])
    authorities = _each(item[6], MAX_AUTHORITIES, "authority", lambda a: _decode_authority(a, environment))
    return TrustList(item[1], item[2], item[3], environment, authorities, item.get(5))


def _decode_authority(item: Any, environment: Environment) -> Authority:
    if not (
        cose.is_map(item, {1, 2, 3, 4, 5, 6})
        and all(isinstance(item[i], str) for i in (1, 3, 4, 6))
        and isinstance(item[2], Mapping)
        and item[2].keys() == {"zh", "en"}
        and all(isinstance(text, str) for text in item[2].values())
    ):
        _shape("not an authority")
    keys = _each(item[5], MAX_KEYS, "key", lambda k: _decode_key(k, environment))
    return Authority(item[1], Text(item[2]["zh"], item[2]["en"]), item[3], item[4], keys, item[6])


def _decode_key(item: Any, environment: Environment) -> TrustedKey:
    if not (cose.is_map(item, {1, 2, 3, 4, 5, 6, 7}, {8, 9, 10}) and isinstance(item[1], bytes)):
        _shape("not a key")
    ceilings, kinds, revoked_at = item.get(9), item.get(10), item.get(8)
    if not (ceilings is None or cose.is_map(ceilings, {1, 2, 3})) or (8 in item and revoked_at is None):
        _shape("not a key")
    if not (kinds is None or (isinstance(kinds, (list, tuple)) and all(isinstance(k, str) for k in kinds))):
        _shape("not a key")
    if (9 in item and ceilings is None) or (10 in item and not kinds):
        _shape("what is absent is left out")
    key = TrustedKey(
        _public(_one_of(Algorithm, item[2]), item[3]),
        environment,
        _one_of(Use, item[4]),
        item[5],
        item[6],
        item[7],
        revoked_at,
        None if ceilings is None else Ceilings(ceilings[1], ceilings[2], ceilings[3]),
        tuple(kinds or ()),
    )
    if key.id != item[1]:
        _bad("the key id is another key's, or another environment's")
    return key


def _shape(hint: str) -> NoReturn:
    raise Refused(Code.BAD_MESSAGE, hint=hint)


def _one_of(kind: type[T], value: object) -> T:
    """The member of an enumeration; a float or a truth is none, although it equals one in Python."""
    if type(value) not in (int, str):
        _shape(f"no {kind.__name__.lower()}")
    try:
        return kind(value)  # type: ignore[call-arg]  # mypy takes kind for Enum's own call
    except ValueError:
        _shape(f"no {kind.__name__.lower()} that is known")


def _public(algorithm: Algorithm, raw: object) -> PublicKey:
    length = 65 if algorithm is Algorithm.ES256 else 32
    if not (isinstance(raw, bytes) and len(raw) == length):
        _bad(f"a key of {algorithm.name} has {length} bytes")
    try:
        return PublicKey(algorithm, raw).check()
    except Refused as problem:
        _bad(problem.hint)


def _each(items: Any, most: int, name: str, decode_one: Callable[[Any], T]) -> tuple[T, ...]:
    """All of a list decoded, with the path of the one that fails."""
    if not (isinstance(items, (list, tuple)) and len(items) <= most):
        _shape(f"not a list of {most} at most")
    made: list[T] = []
    for i, item in enumerate(items):
        try:
            made.append(decode_one(item))
        except Refused as problem:
            path = f"{name}[{i}]" + (f".{problem.where.path}" if problem.where.path else "")
            raise Refused(problem.code, Where(path=path), problem.hint) from None
    return tuple(made)


# ---------------------------------------------------------------------------------------------------------- signatures


def sign_trust(trust: TrustList, signers: Sequence[Signer]) -> bytes:
    """The list as a COSE_Sign with a signature by each of these root keys. One officer's is a draft already: another
    adds theirs by `cosign_trust`. Raises Refused (untrusted) for a signer of another environment."""
    _of_environment(trust.environment, signers)
    return cose.sign_many(encode(trust), signers, headers={cose.TYP: TYPE})


def cosign_trust(opened: OpenedTrust, signers: Sequence[Signer]) -> bytes:
    """The same list with these signatures added. In whatever order officers sign, the bytes are the same."""
    _of_environment(opened.unverified().environment, signers)
    return cose.cosign(opened.message, signers)


def _of_environment(environment: Environment, signers: Sequence[Signer]) -> None:
    if any(s.key_id[:1] != environment.letter for s in signers):
        raise Refused(Code.UNTRUSTED, hint=f"a signer is not of {environment}")


@dataclass(frozen=True)
class OpenedTrust:
    """A signed list taken apart, and not believed: nothing in it was looked at but its outer shape."""

    message: cose.OpenedMany

    def verify(self, root: Root, *, at_least: int = 1) -> TrustList:
        """The list, which `root.threshold` different root keys signed.

        Raises Refused: `untrusted` when fewer did, whatever else is wrong with it; then as `decode`; `untrusted` when
        it is of another environment; `rolled_back` when its version is below `at_least`, the highest seen so far.
        """
        if len(self.signers(root)) < root.threshold:
            raise Refused(Code.UNTRUSTED, hint=f"fewer than {root.threshold} root keys signed it")
        trust = self.unverified()
        if trust.environment is not root.environment:
            raise Refused(Code.UNTRUSTED, hint=f"not of {root.environment}")
        if trust.version < at_least:
            raise Refused(Code.ROLLED_BACK, hint=f"version {at_least} was seen already")
        return trust

    def signers(self, root: Root) -> frozenset[bytes]:
        """The ids of the root keys that signed it."""
        return self.message.signed_by(root.by_id)

    def unverified(self) -> TrustList:
        """What it claims, for officers who are about to sign it."""
        return decode(self.message.payload)


def open_trust(content: bytes) -> OpenedTrust:
    """A signed list taken apart. Raises Refused only: as `cose.open_many`, and `bad_message` for another type."""
    message = cose.open_many(content, most=MAX_BYTES)
    if not (cose.is_map(message.headers, {cose.TYP}) and message.headers[cose.TYP] == TYPE):
        _shape("not a signed trust list")
    return OpenedTrust(message)


# ---------------------------------------------------------------------------------------------------------- succession


def successor(
    old: TrustList, new: TrustList, *, now: Moment | None = None, seen: Container[bytes] = frozenset()
) -> None:
    """Returns when `new` may follow on `old`, and raises Refused otherwise: `rolled_back` for a version that is not
    higher, `not_next` for any other rule, which the hint names.

    With `now`, the moment at which `new` is first published, the announcement counts from there and not from what the
    list says of itself. `seen` are the ids of all keys that any earlier list had: none of them comes back.
    Versions may be skipped by somebody who was away; what only two neighbours can show is then not looked at.
    """
    if new.version <= old.version:
        raise Refused(Code.ROLLED_BACK, hint=f"version {old.version} is in force")
    next_in_line = new.version == old.version + 1
    if next_in_line and new.previous != old.digest:
        _not_next("it names another list as the one before it")
    if new.environment is not old.environment:
        _not_next("another environment")
    if new.publisher.id != old.publisher.id:
        _not_next("another publisher")
    if new.issued < old.issued:
        _not_next("issued before the one before it")
    if now is not None and not new.issued <= now < new.expires:
        _not_next("not issued yet, or over")
    for authority in old.authorities:
        _keeps(authority, new)
    for authority in new.authorities:
        before = old.authority(authority.id)
        if before is None:
            continue  # a city that is recognised from now on: its keys are taken as its own list has them
        own = authority is new.publisher
        _announces(
            {k.id: k for k in before.keys},
            authority,
            # Another city has announced its keys in its own list; here they are only copied.
            earliest=0 if not own else new.issued if next_in_line else old.issued,
            now=now if own else None,
            next_in_line=next_in_line,
            seen=seen,
        )


def _not_next(hint: str, where: str = "") -> NoReturn:
    raise Refused(Code.NOT_NEXT, Where(path=where) if where else None, hint)


def _keeps(old: Authority, new_list: TrustList) -> None:
    """An authority stays what it was; its keys stay as they were until nobody needs them, revoked ones for good."""
    new = new_list.authority(old.id)
    if new is not None and (new.base, new.origin, new.zone) != (old.base, old.origin, old.zone):
        _not_next("base, origin and zone of an authority stay", old.id)
    kept = {} if new is None else {k.id: k for k in new.keys}
    for key in old.keys:
        where, after = f"{old.id} {key.id.hex()}", kept.get(key.id)
        if after is None:
            if key.revoked_at is not None:
                _not_next("a revoked key stays in the list for good", where)
            if new_list.issued < key.needed_until:
                _not_next("a key leaves 28 days after its end", where)
        elif key.revoked_at is not None and after.revoked_at != key.revoked_at:
            _not_next("a revoked key stays revoked, and since when", where)
        elif replace(after, revoked_at=None) != replace(key, revoked_at=None):
            _not_next("a key changes in nothing but in being revoked", where)


def _announces(
    before: Mapping[bytes, TrustedKey],
    new: Authority,
    *,
    earliest: Moment,
    now: Moment | None,
    next_in_line: bool,
    seen: Container[bytes],
) -> None:
    """New keys are announced before they begin, unless the same list revokes a key of that use that is not over."""
    revoked = [
        k
        for k in new.keys
        if k.revoked_at is not None
        and (before[k.id].revoked_at is None if k.id in before else not next_in_line)
    ]
    for key in revoked:
        if key.revoked_at is not None and key.revoked_at < earliest:
            _not_next("a key is revoked when the list that says so is issued", f"{new.id} {key.id.hex()}")
    emergencies = {k.use for k in revoked if k.revoked_at is not None and k.revoked_at < k.not_after}
    for key in new.keys:
        where = f"{new.id} {key.id.hex()}"
        if key.id in before:
            continue
        if key.id in seen:
            _not_next("a key that was in an earlier list does not come back", where)
        if key.announced_at < earliest:
            _not_next("a new key is announced by the list that brings it", where)
        if key.use in emergencies or key.revoked_at is not None:
            continue
        if key.not_before < max(key.announced_at, now or 0) + ANNOUNCEMENT:
            _not_next("a new key begins 24 hours after it is announced, or one of its use is revoked", where)
