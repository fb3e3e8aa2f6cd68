"""`python tests/vectors/make_trust.py`: writes tests/vectors/trust/*.json anew; a test holds files and script equal.

One file, one case, for every language: what a verifier has (`root`, perhaps `before`, `at_least`, `seen`, `now`), what
comes (`list`), and what it must say. Bytes are hexadecimal. `docs/formats/trust.md` says how the cases are read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "signing"))

import cbor2
from signing_city import NOW, first, officers, root, signed, signer

from kangma.signing import cose
from kangma.signing.keys import Environment
from kangma.signing.rotation import announce_next, emergency, recognise, retire
from kangma.signing.trust import TYPE, TrustedKey, TrustList, Use, encode, encode_root
from kangma.terms import DAY, HOUR

FOLDER = Path(__file__).parent / "trust"
LATER = NOW + 20 * DAY
NEXT = {Use.CREDENTIAL: signer("credential 2").public, Use.STATUS: signer("status 2", Use.STATUS).public}


def case(what: str, content: bytes, refused: str | None = None, **more: Any) -> dict[str, Any]:
    """One vector; `before` is a TrustList that was believed before, `trust` what an accepted list says."""
    given: dict[str, Any] = {"what": what, "root": encode_root(root()).hex()}
    trust = more.pop("trust", None)
    for name, value in more.items():
        given[name] = signed(value).hex() if isinstance(value, TrustList) else value
    given["list"] = content.hex()
    given["expect"] = {"refused": refused} if refused else _says(trust)
    return given


def _says(trust: TrustList) -> dict[str, Any]:
    return {
        "version": trust.version,
        "digest": trust.digest.hex(),
        "issued": trust.issued,
        "expires": trust.expires,
        "authorities": [
            {
                "id": a.id,
                "base": a.base,
                "keys": [
                    {
                        "id": k.id.hex(),
                        "use": k.use.value,
                        "not_before": k.not_before,
                        "not_after": k.not_after,
                        "revoked_at": k.revoked_at,
                        "kinds": list(k.kinds),
                    }
                    for k in a.keys
                ],
            }
            for a in trust.authorities
        ],
    }


def _payload(payload: bytes) -> bytes:
    """Any payload with two officers' good signatures."""
    return cose.sign_many(payload, officers()[:2], headers={cose.TYP: TYPE})


def _item(change: Callable[[dict[Any, Any]], Any]) -> bytes:
    """The first list's payload with something changed, signed all the same."""
    item = cbor2.loads(encode(first()))
    change(item)
    return _payload(cose.dumps(item))


def _key(label: int, value: Any) -> bytes:
    """The first list with one field of its first key changed; None leaves it out."""

    def change(item: dict[Any, Any]) -> None:
        key = item[6][0][5][0]
        key.pop(label, None)
        if value is not None:
            key[label] = value

    return _item(change)


def _message(change: Callable[[list[Any]], Any]) -> bytes:
    """The first list's COSE_Sign with something changed."""
    tag = cbor2.loads(signed(first()))
    parts = list(tag.value)
    parts[3] = [list(s) for s in parts[3]]
    change(parts)
    return cose.dumps(cbor2.CBORTag(98, parts))


def _with(trust: TrustList, old: TrustedKey, **changes: Any) -> TrustList:
    keys = tuple(replace(k, **changes) if k.id == old.id else k for k in trust.publisher.keys)
    return replace(trust, authorities=(replace(trust.publisher, keys=keys), *trust.authorities[1:]))


def _without(trust: TrustList, old: TrustedKey) -> TrustList:
    keys = tuple(k for k in trust.publisher.keys if k.id != old.id)
    return replace(trust, authorities=(replace(trust.publisher, keys=keys),))


def _set(target: Any, key: Any, value: Any) -> None:
    target[key] = value


def accepted() -> Iterator[tuple[str, dict[str, Any]]]:
    one = first()
    yield "ok-first", case("Two of three root keys signed it.", signed(one), trust=one)
    yield "ok-all-three", case("All three signed it.", signed(one, (0, 1, 2)), trust=one)
    two = announce_next(one, NEXT, LATER)
    yield "ok-next", case("It follows on the one before it.", signed(two), before=one, at_least=1, trust=two)
    yield (
        "ok-published",
        case(
            "It comes out on the day on which it was drafted.", signed(two), before=one, now=LATER, trust=two
        ),
    )
    yield "ok-same-again", case("The newest version seen comes again.", signed(two), at_least=2, trust=two)
    stolen = one.publisher.keys[0]
    three = emergency(one, stolen.id, signer("replacement").public, LATER)
    yield (
        "ok-emergency",
        case(
            "A key begins at once because one of its use is revoked.",
            signed(three),
            before=one,
            now=LATER,
            trust=three,
        ),
    )
    other = recognise(one, first(city="cn-yy").publisher, LATER)
    yield "ok-recognised", case("It lists a second city.", signed(other), before=one, trust=other)
    far = retire(retire(two, LATER + DAY), LATER + 2 * DAY)
    yield "ok-skipped", case("Whoever was away skips two versions.", signed(far), before=one, trust=far)
    stranger = cose.sign_many(
        encode(one), [*officers()[:2], signer("stranger", None)], headers={cose.TYP: TYPE}
    )
    yield "ok-stranger-too", case("A signature by a stranger beside two good ones.", stranger, trust=one)


def signatures() -> Iterator[tuple[str, dict[str, Any]]]:
    one, few = first(), "untrusted"
    yield "one-signature", case("One root key signed it.", signed(one, (0,)), few)
    yield (
        "strangers-only",
        case(
            "One root key and two strangers signed it.",
            cose.sign_many(
                encode(one),
                [officers()[0], signer("stranger", None), signer("other", None)],
                headers={cose.TYP: TYPE},
            ),
            few,
        ),
    )
    yield (
        "same-key-twice",
        case(
            "One root key signed it, and its signature stands there twice.",
            _message(lambda p: _set(p, 3, [p[3][0], p[3][0]])),
            "bad_message",
        ),
    )
    yield (
        "signature-broken",
        case(
            "One of two signatures has a bit changed.",
            _message(lambda p: _set(p[3][1], 2, bytes([p[3][1][2][0] ^ 1]) + p[3][1][2][1:])),
            few,
        ),
    )
    yield (
        "signatures-swapped",
        case(
            "Each signature stands under the other key's id.",
            _message(lambda p: _set(p, 3, [[p[3][0][0], {}, p[3][1][2]], [p[3][1][0], {}, p[3][0][2]]])),
            few,
        ),
    )
    longer = replace(one, expires=one.issued + 2 * HOUR)
    yield (
        "payload-swapped",
        case("Another payload under good signatures.", _message(lambda p: _set(p, 2, encode(longer))), few),
    )
    yield (
        "other-algorithm",
        case(
            "A signature that names another algorithm than its key's.",
            _message(lambda p: _set(p[3][0], 0, cose.dumps({1: -8, 4: officers()[0].key_id}))),
            few,
        ),
    )
    development = first(Environment.DEVELOPMENT)
    yield "development-root", case("A development root's list.", signed(development), few)
    yield (
        "development-list",
        case("A development list that this root's officers signed.", _payload(encode(development)), few),
    )
    resumed = cose.sign_many(
        encode(one), officers()[:2], headers={cose.TYP: "application/kangma-resume+cose"}
    )
    yield "other-type", case("Signed as a message of another type.", resumed, "bad_message")
    relabelled = cbor2.CBORTag(
        98, [cose.dumps({cose.TYP: TYPE}), {}, encode(one), cbor2.loads(resumed).value[3]]
    )
    yield (
        "type-relabelled",
        case("The same with the right type written over it.", cose.dumps(relabelled), few),
    )


def shapes() -> Iterator[tuple[str, dict[str, Any]]]:
    one, bad = first(), "bad_message"
    whole = signed(one)
    yield "empty", case("Nothing.", b"", bad)
    yield "cut-off", case("The last byte is missing.", whole[:-1], bad)
    yield "trailing-byte", case("One byte more.", whole + b"\x00", bad)
    yield "untagged", case("No tag 98.", cose.dumps(cbor2.loads(whole).value), bad)
    yield "sign1", case("A COSE_Sign1.", cose.sign1(encode(one), officers()[0]), bad)
    yield "no-signature", case("No signature at all.", _message(lambda p: _set(p, 3, [])), bad)
    yield (
        "unprotected-header",
        case("An unprotected header.", _message(lambda p: _set(p[3][0], 1, {4: b"x"})), bad),
    )
    yield (
        "signatures-unordered",
        case("Signatures not in the order of their key ids.", _message(lambda p: p[3].reverse()), bad),
    )
    yield (
        "key-id-missing",
        case("A signature without key id.", _message(lambda p: _set(p[3][0], 0, cose.dumps({1: -7}))), bad),
    )
    yield (
        "signature-der",
        case(
            "A signature of another length than 64 bytes.",
            _message(lambda p: _set(p[3][0], 2, p[3][0][2] + b"\x00")),
            bad,
        ),
    )
    long_form = b"\xd8\x62\x98\x04" + whole[3:]
    yield "longer-encoding", case("A length written longer than it need be.", long_form, bad)
    yield "too-long", case("More bytes than are read.", bytes(262_145), "too_many_bytes")
    yield "payload-no-map", case("A payload that is no map.", _payload(cose.dumps([1])), bad)
    yield "payload-label-more", case("A label more.", _item(lambda m: _set(m, 7, 0)), bad)
    yield "payload-label-missing", case("No expiry.", _item(lambda m: m.pop(3)), bad)
    yield (
        "payload-label-true",
        case("The label true in the place of 1.", _item(lambda m: _set(m, True, m.pop(1))), bad),
    )
    yield "key-label-more", case("A key with a label more.", _key(11, 0), bad)
    yield "key-use-unknown", case("A use that there is not.", _key(4, "anything"), bad)
    yield "key-algorithm-unknown", case("An algorithm that there is not.", _key(2, -37), bad)


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    bad = "bad_trust_list"
    own = first().publisher.keys[0]
    yield "key-id-wrong", case("A key under another id.", _key(1, b"t" + bytes(7)), bad)
    yield "key-id-production", case("A key under an id of production.", _key(1, b"p" + own.id[1:]), bad)
    yield "key-off-curve", case("A public key that is no point.", _key(3, b"\x04" + bytes(64)), bad)
    yield "key-lives-31-days", case("A key that lives 31 days.", _key(6, NOW + 31 * DAY), bad)
    yield "key-ends-first", case("A key that ends before it begins.", _key(6, NOW - 1), bad)
    yield "key-announced-late", case("A key announced after it begins.", _key(7, NOW + 1), bad)
    yield "key-revoked-later", case("A key revoked after the list was issued.", _key(8, NOW + 1), bad)
    yield "key-time-fraction", case("A time with a fraction.", _key(5, NOW + 0.5), bad)
    yield "key-without-ceilings", case("A credential key without ceilings.", _key(9, None), bad)
    yield "key-without-kinds", case("A credential key without kinds.", _key(10, None), bad)
    yield "key-kinds-unordered", case("Kinds in another order.", _key(10, ["paper", "phone"]), bad)
    yield "key-twice", case("A key twice.", _item(lambda m: m[6][0][5].append(m[6][0][5][0])), bad)
    yield "authority-twice", case("An authority twice.", _item(lambda m: m[6].append(m[6][0])), bad)
    yield "authority-none", case("No authority.", _item(lambda m: _set(m, 6, [])), bad)
    yield (
        "authority-base-slash",
        case("A base with / at its end.", _item(lambda m: _set(m[6][0], 3, m[6][0][3] + "/")), bad),
    )
    yield (
        "authority-origin-space",
        case("An origin with a space.", _item(lambda m: _set(m[6][0], 4, "a b")), bad),
    )
    yield "list-lives-91-days", case("A list for 91 days.", _item(lambda m: _set(m, 3, m[2] + 91 * DAY)), bad)
    yield "list-version-0", case("Version 0.", _item(lambda m: _set(m, 1, 0)), bad)
    yield "list-orphan", case("Version 2 without the one before it.", _item(lambda m: _set(m, 1, 2)), bad)


def successions() -> Iterator[tuple[str, dict[str, Any]]]:
    one = first()
    two = announce_next(one, NEXT, LATER)
    old, new = two.publisher.keys[0], two.publisher.keys[-1]

    def not_next(what: str, made: TrustList, before: TrustList = one, **more: Any) -> dict[str, Any]:
        return case(what, signed(made), "not_next", before=before, **more)

    yield "rolled-back", case("An older version than was seen.", signed(one), "rolled_back", at_least=2)
    yield (
        "version-again",
        case(
            "Another list of the version in force.",
            signed(announce_next(one, NEXT, LATER + 1)),
            "rolled_back",
            before=two,
        ),
    )
    yield "previous-other", not_next("It names another list.", replace(two, previous=bytes(32)))
    yield (
        "publisher-other",
        not_next("Another city's list.", replace(first(city="cn-yy"), version=2, previous=one.digest)),
    )
    calm = retire(one, LATER)
    earlier = replace(retire(calm, LATER), issued=LATER - 1, expires=LATER + DAY)
    yield "issued-earlier", not_next("Issued before the one before it.", earlier, calm)
    short = {"not_before": LATER + DAY - 1, "not_after": LATER + 2 * DAY}
    yield (
        "announcement-short",
        not_next("A key begins 23:59:59 after it is announced.", _with(two, new, **short)),
    )
    back = {"announced_at": LATER - 2 * DAY, "not_before": LATER, "not_after": LATER + DAY}
    yield (
        "announcement-claimed",
        not_next("A key says that it was announced before.", _with(two, new, **back)),
    )
    yield (
        "announcement-late",
        not_next(
            "The list comes out less than 24 hours before its key begins.", two, now=new.not_before - DAY + 1
        ),
    )
    wrong_use = _with(_with(two, new, **short), two.publisher.keys[2], revoked_at=LATER)
    yield "emergency-other-use", not_next("At once because a key of another use is revoked.", wrong_use)
    stale = _with(_with(two, new, **short), old, revoked_at=LATER - 1)
    yield "emergency-back-dated", not_next("At once because a key was revoked before.", stale)
    struck = emergency(one, old.id, signer("replacement").public, LATER)
    after = retire(struck, LATER + DAY)
    yield "un-revoked", not_next("A revoked key is as before.", _with(after, old, revoked_at=None), struck)
    yield "revoked-gone", not_next("A revoked key is gone.", _without(after, old), struck)
    renewed = retire(one, LATER)
    yield "key-changed", not_next("A key's end is moved.", _with(renewed, old, not_after=old.not_after - 1))
    yield "key-widened", not_next("A key may sign another kind.", _with(renewed, old, kinds=("phone",)))
    yield "key-gone-early", not_next("A key is gone that is still needed.", _without(renewed, old))
    yield (
        "base-moved",
        not_next(
            "The city's lists move.",
            replace(renewed, authorities=(replace(renewed.publisher, base="https://b.example"),)),
        ),
    )
    gone = retire(two, old.needed_until)
    returned = announce_next(gone, {Use.CREDENTIAL: old.public}, old.needed_until + DAY)
    yield "key-comes-back", not_next("An old key comes back.", returned, gone, seen=[old.id.hex()])


def vectors() -> dict[str, dict[str, Any]]:
    """File name without `.json` → case."""
    found: dict[str, dict[str, Any]] = {}
    for group in (accepted, signatures, shapes, rules, successions):
        for name, made in group():
            assert name not in found, name
            found[name] = made
    return found


def text(made: dict[str, Any]) -> str:
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for name, made in vectors().items():
        (FOLDER / f"{name}.json").write_text(text(made), encoding="utf-8")
