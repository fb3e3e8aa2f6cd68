"""Two of three root officers make a trust list, and nobody else does."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signing_city import CEILINGS, NOW, first, officers, root, signed, signer, verified

from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, KeySigner, PublicKey
from kangma.signing.rotation import announce_next
from kangma.signing.trust import (
    TYPE,
    Root,
    TrustList,
    Use,
    cosign_trust,
    decode,
    decode_root,
    encode,
    encode_root,
    open_trust,
    sign_trust,
)
from kangma.terms import DAY


def why(problem: pytest.ExceptionInfo[Refused]) -> Code:
    return problem.value.code


# -------------------------------------------------------------------------------------------------- two of three


@pytest.mark.parametrize("by", [(0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_any_two_root_officers_make_a_trust_list(by: tuple[int, ...]) -> None:
    trust = first()
    assert verified(trust, by) == trust


@pytest.mark.parametrize("one", [0, 1, 2])
def test_one_root_key_cannot_make_a_trust_list(one: int) -> None:
    with pytest.raises(Refused) as refused:
        verified(first(), (one,))
    assert why(refused) is Code.UNTRUSTED


def test_one_root_key_that_signs_twice_is_still_one() -> None:
    officer = officers()[0]
    twice = sign_trust(first(), [officer, officer])
    assert twice == sign_trust(first(), [officer])
    item = cbor2.loads(twice)
    doubled = cose.dumps(cbor2.CBORTag(98, [*item.value[:3], item.value[3] * 2]))
    with pytest.raises(Refused) as refused:
        open_trust(doubled)
    assert why(refused) is Code.BAD_MESSAGE


def test_strangers_signatures_count_for_nothing_and_harm_nothing() -> None:
    strangers = [signer(f"stranger {i}", None) for i in range(4)]
    with pytest.raises(Refused) as refused:
        open_trust(sign_trust(first(), [officers()[0], *strangers])).verify(root())
    assert why(refused) is Code.UNTRUSTED
    assert open_trust(sign_trust(first(), [*officers()[:2], *strangers])).verify(root()) == first()


def test_officers_sign_one_after_the_other_on_different_machines() -> None:
    trust, (a, b, c) = first(), officers()
    draft = sign_trust(trust, [a])
    opened = open_trust(draft)
    assert opened.unverified() == trust
    assert opened.signers(root()) == {a.key_id}
    whole = cosign_trust(opened, [b])
    assert open_trust(whole).verify(root()) == trust
    # in whatever order, and in one go, the bytes are the same
    assert whole == cosign_trust(open_trust(sign_trust(trust, [b])), [a]) == sign_trust(trust, [a, b])
    assert open_trust(cosign_trust(open_trust(whole), [c])).signers(root()) == {o.key_id for o in (a, b, c)}


def test_a_draft_to_which_somebody_added_a_key_loses_the_signature_that_it_had() -> None:
    a, b, _ = officers()
    item = cbor2.loads(sign_trust(first(), [a]))
    other = replace(first(), expires=first().expires - 1)
    swapped = cose.dumps(cbor2.CBORTag(98, [item.value[0], {}, encode(other), item.value[3]]))
    with pytest.raises(Refused) as refused:
        open_trust(cosign_trust(open_trust(swapped), [b])).verify(root())
    assert why(refused) is Code.UNTRUSTED


def test_a_signature_for_another_purpose_is_none_on_a_trust_list() -> None:
    payload = encode(first())
    other = cose.sign_many(payload, officers(), headers={cose.TYP: "application/kangma-resume+cose"})
    with pytest.raises(Refused):
        open_trust(other)
    item = cbor2.loads(other)
    relabelled = cbor2.CBORTag(98, [cose.dumps({cose.TYP: TYPE}), {}, payload, item.value[3]])
    with pytest.raises(Refused) as refused:
        open_trust(cose.dumps(relabelled)).verify(root())
    assert why(refused) is Code.UNTRUSTED
    with pytest.raises(Refused):
        open_trust(cose.sign1(payload, officers()[0]))


def test_an_older_version_than_was_seen_is_refused() -> None:
    opened = open_trust(signed(first()))
    assert opened.verify(root(), at_least=1).version == 1
    with pytest.raises(Refused) as refused:
        opened.verify(root(), at_least=2)
    assert why(refused) is Code.ROLLED_BACK


# -------------------------------------------------------------------------------------------------- environments


def test_a_development_key_never_verifies_in_production() -> None:
    development, production = Environment.DEVELOPMENT, Environment.PRODUCTION
    # not a development root's list, although the private keys are the very same
    with pytest.raises(Refused) as refused:
        open_trust(signed(first(development))).verify(root(production))
    assert why(refused) is Code.UNTRUSTED
    # no officer's tool signs a list of another environment
    with pytest.raises(Refused):
        sign_trust(first(production), officers(development))
    # not a list of another environment, should production's officers have signed it by other means
    slipped = cose.sign_many(encode(first(development)), officers(production), headers={cose.TYP: TYPE})
    with pytest.raises(Refused) as refused:
        open_trust(slipped).verify(root(production))
    assert why(refused) is Code.UNTRUSTED
    # no development key within a production list, and its id finds no key there
    made = signer("cn-xx credential 1", Use.CREDENTIAL, development)
    assert first(production).key(made.key_id) is None
    with pytest.raises(Refused):
        _with_key(first(production), environment=development)


def _with_key(trust: TrustList, **changes: object) -> TrustList:
    """The list with its first key changed."""
    publisher = trust.publisher
    keys = (replace(publisher.keys[0], **changes), *publisher.keys[1:])  # type: ignore[arg-type]
    return replace(trust, authorities=(replace(publisher, keys=keys),))


# -------------------------------------------------------------------------------------------------- looking keys up


def test_a_key_is_found_by_its_id_with_its_authority() -> None:
    trust = first()
    for key in trust.publisher.keys:
        assert trust.key(key.id) is key
        assert trust.authority_of(key.id) is trust.publisher
    assert trust.key(bytes(8)) is trust.authority_of(bytes(8)) is None
    assert trust.authority("cn-xx") is trust.publisher
    assert trust.authority("cn-yy") is None


def test_keys_of_a_moment_are_those_that_may_sign_then_the_newest_first() -> None:
    trust = first()
    (old,) = trust.keys(Use.CREDENTIAL, NOW)
    assert trust.keys(Use.CREDENTIAL, NOW - 1) == ()
    assert trust.keys(Use.CREDENTIAL, old.not_after) == ()
    assert trust.keys(Use.CREDENTIAL, NOW, authority="cn-yy") == ()
    following = announce_next(trust, {Use.CREDENTIAL: signer("next").public}, NOW + 20 * DAY)
    new = following.publisher.keys[-1]
    assert new.not_before == old.not_after - 2 * DAY
    assert [k.id for k in following.keys(Use.CREDENTIAL, new.not_before)] == [new.id, old.id]


# -------------------------------------------------------------------------------------------------- the rules of a list


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": NOW + 30 * DAY + 1},  # lives too long
        {"not_after": NOW},  # ends as it begins
        {"announced_at": NOW + 1},  # announced after it began
        {"announced_at": NOW + 1, "not_before": NOW + 1},  # announced after the list was issued
        {"revoked_at": NOW - 1},
        {"revoked_at": NOW + 1},
        {"ceilings": None},
        {"kinds": ()},
        {"kinds": ("paper", "phone")},
        {"kinds": ("phone", "phone")},
        {"kinds": ("tattoo",)},
        {"use": Use.LOG},
        {"use": Use.STATUS},  # with kinds
        {"not_before": -1},
        {"not_before": True},
        {"not_before": 1.5},
        {"public": PublicKey(Algorithm.EDDSA, bytes(32))},
    ],
)
def test_a_key_that_breaks_a_rule_is_in_no_list(changes: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        _with_key(first(), **changes)
    assert why(refused) is Code.BAD_TRUST_LIST


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "CN"},
        {"id": ""},
        {"id": "c" * 17},
        {"id": "cn-xx\n"},
        {"base": "https://cn-xx.example/"},
        {"base": "https://a.example/" + "x" * 30},
        {"base": "ftp://a.example"},
        {"base": "https://a.example/?q"},
        {"base": "https://user@a.example"},
        {"origin": "a b"},
        {"origin": "a+b"},
        {"origin": ""},
        {"zone": "../../etc/passwd"},
    ],
)
def test_an_authority_that_breaks_a_rule_is_in_no_list(changes: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        replace(first().publisher, **changes)  # type: ignore[arg-type]
    assert why(refused) is Code.BAD_TRUST_LIST


def test_a_list_keeps_its_own_rules() -> None:
    trust = first()
    for changes in (
        {"version": 0},
        {"version": True},
        {"version": 2},  # without the one before it
        {"previous": bytes(32)},  # before the first
        {"version": 2, "previous": bytes(31)},
        {"expires": trust.issued},
        {"expires": trust.issued + 90 * DAY + 1},
        {"authorities": ()},
        {"authorities": (trust.publisher, trust.publisher)},
        {"authorities": (trust.publisher, replace(trust.publisher, id="cn-yy"))},  # the same keys
        {"environment": Environment.PRODUCTION},
    ):
        with pytest.raises(Refused) as refused:
            replace(trust, **changes)  # type: ignore[arg-type]
        assert why(refused) is Code.BAD_TRUST_LIST, changes


def test_a_root_needs_three_keys_and_more_than_half_of_them() -> None:
    keys = root().keys
    five = (*keys, signer("4", None).public, signer("5", None).public)
    assert Root(Environment.TEST, 3, five)
    for threshold, some in (
        (1, keys),
        (4, keys),
        (2, keys[:2]),
        (2, (keys[0], keys[0], keys[1])),
        (2, five),  # two of five: another two could sign another list of the same version
        (2, (*keys[:2], signer("e", Use.LOG).public)),
    ):
        with pytest.raises(Refused):
            Root(Environment.TEST, threshold, some)
    assert decode_root(encode_root(root())) == root()
    assert root().fingerprint == hashlib.sha256(encode_root(root())).digest()
    assert root().fingerprint != root(Environment.PRODUCTION).fingerprint


# -------------------------------------------------------------------------------------------------- bytes


def test_a_list_is_the_bytes_that_it_was_read_from() -> None:
    trust = first()
    assert decode(encode(trust)) == trust
    assert encode(decode(encode(trust))) == encode(trust)
    assert trust.digest == hashlib.sha256(encode(trust)).digest()


@pytest.mark.parametrize("label", [1, 2, 3, 4, 6])
def test_the_maps_of_a_list_are_closed(label: int) -> None:
    item = cbor2.loads(encode(first()))
    without = {k: v for k, v in item.items() if k != label}
    for other in (without, {**item, 7: 1}, {**item, "x": 1}, {**without, float(label): item[label]}):
        with pytest.raises(Refused) as refused:
            decode(cose.dumps(other))
        assert why(refused) is Code.BAD_MESSAGE


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_signed_list_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    good = signed(first())
    i = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[i] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Refused):
        open_trust(bytes(bad)).verify(root())


# -------------------------------------------------------------------------------------------------- a published example


def test_the_message_that_one_signer_of_several_signs_is_that_of_the_published_example() -> None:
    """The example of RFC 9052's working group with one signer (sign-tests/sign-pass-01): its Sig_structure, and its
    signature under its key."""
    message = cose._signed_by_one(b"", bytes.fromhex("a10126"), b"This is the content.")
    assert message.hex().upper() == (
        "85695369676E61747572654043A101264054546869732069732074686520636F6E74656E742E"
    )
    x = "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
    y = "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
    signature = (
        "EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793914348E1"
        "4EEA4AEE6E0C9F09DB4EF3DDECA8F3506CD1A98A8FB64327BE470355C9657CE0"
    )
    key = PublicKey(Algorithm.ES256, bytes.fromhex("04" + x + y)).check()
    assert key.verifies(bytes.fromhex(signature), message)
    assert not key.verifies(bytes.fromhex(signature), message + b"\x00")


def test_nobody_signs_with_ceilings_that_are_none() -> None:
    for n in (-1, 1.5, True, 2**32):
        with pytest.raises(Refused):
            replace(CEILINGS, worse_an_hour=n)
    with pytest.raises(Refused):
        replace(CEILINGS, worse_ppm_an_hour=1_000_001)


def test_a_message_signed_by_nobody_or_by_too_many_is_not_made() -> None:
    for signers in ([], [signer(f"n {i}", None) for i in range(9)]):
        with pytest.raises(Refused):
            sign_trust(first(), signers)
    assert isinstance(officers()[0], KeySigner)
