"""What a status list promises to the person at the door, to a stranger's client, and to whoever publishes it."""

from __future__ import annotations

import zlib
from dataclasses import replace

import cbor2
import numpy as np
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from made_lists import KEY, NOW, OTHER, SIGNER, URI, WEEK, city, claims, code_of, delta, verified

from kangma.errors import Code
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.status import lists
from kangma.status.delta import delta_cwt, open_delta
from kangma.status.lists import OF_STATE, Status
from kangma.status.token import StatusList, open_cwt, open_jwt, to_cwt, to_jwt
from kangma.terms import State


def stranger_lets_in(token: bytes, index: int) -> bool:
    """A client of the Token Status List that was written without us and knows one value: 0 is VALID."""
    _, _, payload, _ = cbor2.loads(token).value
    status_list = cbor2.loads(payload)[65533]
    raw, bits = zlib.decompress(status_list["lst"]), status_list["bits"]
    return (raw[index * bits // 8] >> (index * bits % 8)) & (2**bits - 1) == 0


def test_a_stranger_who_knows_only_valid_still_refuses_a_red_code() -> None:
    values = np.zeros(64, np.uint8)
    values[17], values[18], values[19] = Status.RED, Status.YELLOW, Status.INVALID
    token = to_cwt(claims(values), SIGNER)
    assert [stranger_lets_in(token, i) for i in (16, 17, 18, 19, 20)] == [True, False, False, False, True]


def test_a_stranger_reads_the_jwt_form_with_a_library() -> None:
    token = to_jwt(claims(city()), SIGNER)
    point = SIGNER.public.raw
    key = ECKey.import_key(
        {"kty": "EC", "crv": "P-256", "x": _b64(point[1:33]), "y": _b64(point[33:]), "use": "sig"}
    )
    found = jwt.decode(token, key, algorithms=["ES256"])
    assert found.header["typ"] == "statuslist+jwt"
    assert found.claims["sub"] == URI
    assert found.claims["status_list"]["bits"] == 4


def _b64(content: bytes) -> str:
    import base64  # noqa: PLC0415

    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_every_colour_has_its_value_and_no_other_state_looks_green() -> None:
    assert {state: int(OF_STATE[state]) for state in State} == {
        State.GREEN: 0,
        State.REMIND: 0,
        State.POPUP: 3,
        State.YELLOW: 0xC,
        State.RED: 0xD,
        State.UNKNOWN: 0xF,
    }
    assert all(OF_STATE[state] == Status.UNKNOWN for state in set(range(16)) - set(State))


def test_a_value_that_nobody_writes_is_unknown_and_never_green_or_red() -> None:
    assert {v: Status(v) for v in range(256) if Status(v) is not Status.UNKNOWN} == {
        0: Status.VALID,
        1: Status.INVALID,
        3: Status.NOTICE,
        12: Status.YELLOW,
        13: Status.RED,
    }


def test_both_forms_say_the_same() -> None:
    made = claims(city())
    assert open_cwt(to_cwt(made, SIGNER)).verify(KEY) == open_jwt(to_jwt(made, SIGNER)).verify(KEY)


def test_what_was_opened_is_not_believed_before_the_key_is_right() -> None:
    for opened in (open_cwt(to_cwt(claims(city()), SIGNER)), open_jwt(to_jwt(claims(city()), SIGNER))):
        assert not isinstance(opened, StatusList)
        assert not hasattr(opened, "value")
        assert opened.key_id == SIGNER.key_id
        assert code_of(opened.verify, OTHER.public) is Code.BAD_SIGNATURE
        assert opened.verify(KEY).size == 4_096


def test_a_key_of_another_algorithm_verifies_nothing() -> None:
    ed = KeySigner(Algorithm.EDDSA, bytes(32), Environment.TEST)
    for opened in (open_cwt(to_cwt(claims(city()), SIGNER)), open_jwt(to_jwt(claims(city()), SIGNER))):
        assert code_of(opened.verify, ed.public) is Code.BAD_SIGNATURE
    with pytest.raises(ValueError, match="P-256"):
        to_jwt(claims(city()), ed)


def test_a_bomb_is_not_touched_before_its_signature_holds() -> None:
    bomb = zlib.compress(bytes(lists.MOST_RAW + 1), 9)
    for make, read in ((to_cwt, open_cwt), (to_jwt, open_jwt)):
        opened = read(make(replace(claims(city()), lst=bomb), SIGNER))  # type: ignore[operator]
        assert code_of(opened.verify, OTHER.public) is Code.BAD_SIGNATURE
        assert code_of(opened.verify, KEY) is Code.INFLATES_TOO_MUCH
        assert opened.verify(KEY, most=lists.MOST_RAW + 1).size == 2 * (lists.MOST_RAW + 1)


def test_an_index_beyond_the_list_has_no_status() -> None:
    listed = verified(city(64))
    assert listed.size == 64
    for index in (-1, 64, 2**70):
        assert code_of(listed.value, index) is Code.BAD_NUMBER


def test_the_same_list_and_key_give_the_same_bytes() -> None:
    assert to_cwt(claims(city()), SIGNER) == to_cwt(claims(city()), SIGNER)
    assert to_jwt(claims(city()), SIGNER) == to_jwt(claims(city()), SIGNER)


def test_claims_that_no_reader_would_take_are_not_signed() -> None:
    good = claims(city())
    wrong = [
        {"sub": ""},
        {"sub": "https://健康.example/"},
        {"sub": "x" * 257},
        {"iat": -1},
        {"exp": NOW},
        {"ttl": 0},
        {"bits": 3},
        {"bits": True},
        {"release": 2**53},
        {"tree_size": 1.0},
    ]
    for fault in wrong:
        for make in (to_cwt, to_jwt):
            with pytest.raises(ValueError, match="claims"):
                make(replace(good, **fault), SIGNER)  # type: ignore[arg-type]


def test_whoever_holds_the_list_before_gets_the_same_list_by_its_delta() -> None:
    before, after = city(), city()
    after[[5, 9]] = Status.RED, Status.VALID
    found = delta(before, after).apply(verified(before))
    assert found == verified(after, iat=NOW + 900, exp=NOW + 900 + WEEK, release=8)
    assert found.value(5) == Status.RED


def test_a_list_signed_anew_without_a_change_is_a_delta_of_300_bytes() -> None:
    values = city()
    later = claims(values, iat=NOW + 900, exp=NOW + 900 + WEEK)
    raw = lists.pack(values, 4)
    content = delta_cwt(raw, NOW, raw, later, SIGNER)
    assert content is not None
    assert len(content) <= 300
    assert open_delta(content).verify(KEY).apply(verified(values)).iat == NOW + 900


def test_a_delta_goes_on_no_list_but_its_own() -> None:
    before, after = city(), city(seed=2)
    change = delta(before, after)
    others = [
        verified(before, sub=URI[:-1] + "1"),  # another list with the same values
        verified(before, iat=NOW - 900),  # the version before it
        verified(after),  # another content at the same time
        change.apply(verified(before)),  # applied twice
    ]
    for other in others:
        assert code_of(change.apply, other) is Code.WRONG_BASE


def test_a_delta_that_leads_elsewhere_than_it_says_is_refused() -> None:
    before, after = city(), city(seed=2)
    change = replace(delta(before, after), result=bytes(32))
    assert code_of(change.apply, verified(before)) is Code.WRONG_BASE


def test_a_delta_is_believed_only_with_its_signature() -> None:
    before, after = city(), city(seed=2)
    later = claims(after, iat=NOW + 900)
    content = delta_cwt(lists.pack(before, 4), NOW, lists.pack(after, 4), later, SIGNER)
    assert content is not None
    opened = open_delta(content)
    assert not hasattr(opened, "apply")
    assert opened.key_id == SIGNER.key_id
    assert code_of(opened.verify, OTHER.public) is Code.BAD_SIGNATURE
    assert code_of(open_cwt, content) is Code.BAD_MESSAGE  # and it is no list
    assert code_of(open_delta, to_cwt(later, SIGNER)) is Code.BAD_MESSAGE  # nor a list a delta


def test_no_delta_is_made_where_the_list_is_shorter() -> None:
    before, after = np.zeros(4_096, np.uint8), np.full(4_096, Status.RED, np.uint8)
    later = claims(after, iat=NOW + 900)
    assert delta_cwt(lists.pack(before, 4), NOW, lists.pack(after, 4), later, SIGNER) is None


def test_a_delta_never_goes_back_in_time() -> None:
    raw = lists.pack(city(), 4)
    for base_iat in (NOW, NOW + 1, -1):
        with pytest.raises(ValueError, match="versions"):
            delta_cwt(raw, base_iat, raw, claims(city()), SIGNER)
    with pytest.raises(ValueError, match="versions"):
        delta_cwt(raw[1:], NOW - 1, raw, claims(city()), SIGNER)


def test_a_full_list_at_six_in_a_thousand_takes_13_kilobytes_and_1000_turns_2() -> None:
    values = city(lists.ENTRIES)
    assert len(to_cwt(claims(values), SIGNER)) <= 13_000  # the goal was 20 kB
    after = values.copy()
    turned = np.random.default_rng(3).permutation(values.size)[:1_000]
    after[turned] = np.where(values[turned] == 0, np.resize([0xC, 0xC, 0xD, 3], 1_000), 0)
    change = delta(values, after)
    assert len(change.changes) <= 1_800  # the information in it: 1,435 bytes of places, 175 of values
    assert change.apply(verified(values)).raw == lists.pack(after, 4)
