"""Makes the verifier's vectors, tests/vectors/verify/*.json: a whole small world in each file, what is scanned in it,
and what must come of it. Deterministic: keys come from their names, the clock is written down.

    python tests/vectors/make_verify.py        writes them anew
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np

from kangma.credential import base45, holder, issue, text
from kangma.credential import claims as claims_
from kangma.credential.claims import Claims, Kind
from kangma.credential.marks import MarksInMemory, of_key, of_list
from kangma.credential.outcome import Verified
from kangma.credential.verify import Verifier
from kangma.errors import Refused
from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.trust import (
    Authority,
    Ceilings,
    Root,
    TrustedKey,
    TrustList,
    Use,
    decode_root,
    encode_root,
    sign_trust,
)
from kangma.status import lists
from kangma.status.token import Claims as ListClaims
from kangma.status.token import to_cwt
from kangma.terms import DAY, HOUR, Moment, Text, moment, zone

FOLDER = Path(__file__).parent / "verify"
NOW = moment("2022-04-28T08:41:07+08:00")
ZONE = zone("Asia/Shanghai")
TODAY = ZONE.day(NOW)
BASE, OTHER_BASE = "https://code.kangma.example", "https://jkm.tianjin.example"
#: The indices of the small lists (1,024 long) and what stands there; everything else is green.
GREEN, WITHDRAWN, NOTICE, YELLOW, RED, UNKNOWN, RESERVED = 7, 8, 9, 10, 11, 12, 13
STATUSES = {WITHDRAWN: 0x1, NOTICE: 0x3, YELLOW: 0xC, RED: 0xD, UNKNOWN: 0xF, RESERVED: 0x2}


def key(
    name: str, algorithm: Algorithm = Algorithm.ES256, environment: Environment = Environment.TEST
) -> KeySigner:
    return KeySigner(algorithm, hashlib.sha256(f"kangma vector key {name}".encode()).digest(), environment)


ROOT_KEYS = [key(f"root {n}") for n in (1, 2, 3)]
ROOT = Root(Environment.TEST, 2, tuple(k.public for k in ROOT_KEYS))
CREDENTIAL, STATUS, OLD, PHONES_ONLY, REVOKED, NEXT = (
    key(n) for n in ("credential", "status", "old", "phones only", "revoked", "next")
)
OTHER_CREDENTIAL, OTHER_STATUS, STRANGER, PHONE = (
    key(n) for n in ("tianjin credential", "tianjin status", "stranger", "phone")
)
CEILINGS = Ceilings(20_000, 1_000, 40_000)
ALL = ("phone", "paper", "proxy")


def trusted(signer: KeySigner, use: Use, begins: Moment, **more: Any) -> TrustedKey:
    more = {"kinds": ALL if use is Use.CREDENTIAL else (), **more}
    return TrustedKey(
        signer.public,
        Environment.TEST,
        use,
        begins,
        more.pop("not_after", begins + 30 * DAY),
        begins - 2 * DAY,
        ceilings=CEILINGS,
        **more,
    )


def midnight(days: int) -> Moment:
    return ZONE.midnight(TODAY + days)


BEIJING = Authority(
    "cn-bj",
    Text("北京", "Beijing"),
    BASE,
    "log.kangma.example",
    (
        trusted(CREDENTIAL, Use.CREDENTIAL, midnight(-10)),
        trusted(OLD, Use.CREDENTIAL, midnight(-38)),  # over for eight days, its paper still in pockets
        trusted(PHONES_ONLY, Use.CREDENTIAL, midnight(-10), kinds=("phone",)),
        trusted(REVOKED, Use.CREDENTIAL, midnight(-10), revoked_at=NOW - 3 * HOUR),
        trusted(NEXT, Use.CREDENTIAL, midnight(1)),
        trusted(STATUS, Use.STATUS, midnight(-10)),
    ),
    "Asia/Shanghai",
)
TIANJIN = Authority(
    "cn-tj",
    Text("天津", "Tianjin"),
    OTHER_BASE,
    "log.tianjin.example",
    (
        trusted(OTHER_CREDENTIAL, Use.CREDENTIAL, midnight(-9)),
        trusted(OTHER_STATUS, Use.STATUS, midnight(-9)),
    ),
    "Asia/Shanghai",
)
TRUST = TrustList(
    5,
    NOW - 2 * HOUR,
    NOW - 2 * HOUR + 30 * DAY,
    Environment.TEST,
    (BEIJING, TIANJIN),
    hashlib.sha256(b"version 4").digest(),
)
DAILY, EXTRA = f"{BASE}/status/{TODAY}/0", f"{BASE}/status/x{TODAY}/0"
OTHER_DAILY = f"{OTHER_BASE}/status/{TODAY}/0"
LISTS_AT = NOW - 127


def status_list(
    uri: str,
    signer: KeySigner = STATUS,
    *,
    iat: Moment = LISTS_AT,
    bits: int = 4,
    life: int = 7 * DAY,
    size: int = 1024,
) -> bytes:
    values = np.zeros(size, np.uint8)
    if bits == 4:
        for index, status in STATUSES.items():
            values[index] = status
    lst = lists.compress(lists.pack(values, bits))
    return to_cwt(ListClaims(uri, iat, iat + life, 300, bits, lst, 42, 1_337), signer)


ALL_LISTS = {
    DAILY: status_list(DAILY),
    EXTRA: status_list(EXTRA),
    OTHER_DAILY: status_list(OTHER_DAILY, OTHER_STATUS),
}


@dataclass(frozen=True)
class Case:
    """One file: what a verifier holds, its clock, and what it scans."""

    name: str
    title: str
    text: str
    now: Moment = NOW
    trust: bytes | None = field(default_factory=lambda: sign_trust(TRUST, ROOT_KEYS[:2]))
    lists: Mapping[str, bytes] = field(default_factory=lambda: ALL_LISTS)
    marks: Mapping[str, int] = field(default_factory=dict)


def phone(index: int = GREEN, **more: Any) -> Claims:
    said = Claims("cn-bj", midnight(0), midnight(1), DAILY, index, Kind.PHONE, "张*", PHONE.public.compressed)
    return said._replace(**more)


def paper(index: int = GREEN, **more: Any) -> Claims:
    said = Claims("cn-bj", midnight(-3), midnight(25), EXTRA, index, Kind.PAPER, "欧阳*")
    return said._replace(**more)


def shown(
    claims: Claims | bytes, signer: KeySigner = CREDENTIAL, *, at: Moment = NOW, by: KeySigner | None = PHONE
) -> str:
    """The text of a code: claims (or a payload) signed, and a proof of the moment where there is a holder."""
    made = cose.sign1(claims if isinstance(claims, bytes) else claims_.encode(claims), signer)
    bare = by is None or (isinstance(claims, Claims) and claims.holder is None)
    return text.pack(made if bare else made + holder.prove(made, holder.step_of(at), by))


def good() -> Iterator[Case]:
    for index, colour in ((GREEN, "green"), (NOTICE, "notice"), (YELLOW, "yellow"), (RED, "red")):
        yield Case(f"phone_{colour}", f"A phone shows {colour}.", shown(phone(index)))
        yield Case(
            f"paper_{colour}", f"Paper: {colour}; the bearer's card is to be checked.", shown(paper(index))
        )
    proxy = phone(kind=Kind.PROXY, uri=EXTRA)
    yield Case("proxy_green", "A child's code on a parent's phone.", shown(proxy))
    plain = issue.sign(phone(), CREDENTIAL)
    content = b"\0" + plain + holder.prove(plain, holder.step_of(NOW), PHONE)
    yield Case("phone_not_deflated", "The content as it is, not deflated.", "KM1:" + base45.encode(content))
    tianjin = phone(issuer="cn-tj", uri=OTHER_DAILY)
    yield Case(
        "another_authority",
        "A code of another city that the trust list recognises.",
        shown(tianjin, OTHER_CREDENTIAL),
    )
    yield Case(
        "key_rotation_old_paper",
        "Paper signed by a key that has ended since.",
        shown(paper(issued=midnight(-9), expires=midnight(19)), OLD),
    )
    tomorrow = midnight(1) + 9 * HOUR
    at_next = phone(issued=midnight(1), expires=midnight(2), uri=f"{BASE}/status/{TODAY + 1}/0")
    next_list = {at_next.uri: status_list(at_next.uri, iat=tomorrow - 60)}
    yield Case(
        "key_rotation_new_key",
        "The key announced before signs from its day on.",
        shown(at_next, NEXT, at=tomorrow),
        now=tomorrow,
        lists=next_list,
    )
    yield Case(
        "issued_ahead",
        "A credential made yesterday for today, by a phone that is offline.",
        shown(at_next, at=tomorrow),
        now=tomorrow,
        lists=next_list,
    )
    for name, seconds in (("proof_59_seconds_old", 59), ("proof_30_seconds_ahead", -30)):
        begun = NOW - NOW % 30
        yield Case(
            name, "Clocks that differ, within the window.", shown(phone(), at=begun), now=begun + seconds
        )
    yield Case(
        "stale_list",
        "The newest list is 30 hours old: the last state is shown, as stale.",
        shown(phone()),
        lists={DAILY: status_list(DAILY, iat=NOW - 30 * HOUR)},
    )
    old_trust = replace(
        TRUST,
        issued=NOW - 40 * DAY,
        expires=NOW - 10 * DAY,
        authorities=(
            replace(
                BEIJING,
                keys=(
                    replace(BEIJING.keys[0], announced_at=NOW - 40 * DAY),
                    replace(BEIJING.keys[5], announced_at=NOW - 40 * DAY),
                ),
            ),
        ),
    )
    yield Case(
        "stale_trust_list",
        "The trust list expired ten days ago: the last state is shown, as stale.",
        shown(phone()),
        trust=sign_trust(old_trust, ROOT_KEYS[1:]),
    )
    yield Case(
        "list_in_the_last_second_of_a_day",
        "A list exactly 24 hours old is fresh.",
        shown(phone()),
        lists={DAILY: status_list(DAILY, iat=NOW - 24 * HOUR)},
    )
    long_base = "https://health-code.beijing.example/city"
    worst = replace(BEIJING, id="cn-bj-01", base=long_base)
    uri = f"{long_base}/status/x{TODAY}/21"
    yield Case(
        "worst_sizes",
        "The longest that is issued: base of 40 bytes, mask of 12, issuer of 8.",
        shown(phone(1_048_575, issuer="cn-bj-01", uri=uri, mask="欧阳*娜**")),
        trust=sign_trust(replace(TRUST, authorities=(worst,)), ROOT_KEYS[:2]),
        lists={uri: status_list(uri, size=2**20)},
    )
    yield Case(
        "clock_behind",
        "A clock 30 days behind: signed time is the floor, and paper needs no other.",
        shown(paper()),
        now=NOW - 30 * DAY,
    )
    yield Case(
        "clock_seconds_behind_midnight",
        "Ten seconds before midnight by our clock, ten after by the phone's.",
        shown(phone(issued=midnight(1), expires=midnight(2)), at=midnight(1) - 10),
        now=midnight(1) - 10,
    )
    weeks = NOW + 20 * DAY  # within the dates of Tianjin's key
    ahead = {**ALL_LISTS, OTHER_DAILY: status_list(OTHER_DAILY, OTHER_STATUS, iat=weeks)}
    yield Case(
        "another_authority_signed_ahead",
        "Another city signs 20 days ahead: our own codes are judged by our own time.",
        shown(phone()),
        lists=ahead,
    )
    yield Case(
        "another_authority_signed_ahead_before",
        "The same, seen before the verifier started anew.",
        shown(phone()),
        marks={of_key(OTHER_STATUS.key_id): weeks, of_list(OTHER_DAILY, OTHER_STATUS.key_id): weeks},
        lists={DAILY: ALL_LISTS[DAILY]},
    )
    yield Case(
        "clock_behind_of_another_authority",
        "A clock 30 days behind: for another city's code its own signed time is the floor.",
        shown(tianjin._replace(kind=Kind.PAPER, holder=None), OTHER_CREDENTIAL),
        now=NOW - 30 * DAY,
        lists={OTHER_DAILY: ALL_LISTS[OTHER_DAILY]},
    )
    stolen, new = STATUS, OTHER_STATUS  # here Beijing's own: the thief's, and what took its place
    keys = (
        *BEIJING.keys[:5],
        trusted(stolen, Use.STATUS, midnight(-10), revoked_at=NOW - 3 * HOUR),
        trusted(new, Use.STATUS, midnight(-1)),
    )
    after = sign_trust(replace(TRUST, authorities=(replace(BEIJING, keys=keys),)), ROOT_KEYS[:2])
    yield Case(
        "revoked_key_had_signed_ahead",
        "A thief's key had signed 15 days ahead, and was revoked: what the next key signs is believed.",
        shown(phone()),
        trust=after,
        lists={DAILY: status_list(DAILY, new)},
        marks={of_key(stolen.key_id): NOW + 15 * DAY, of_list(DAILY, stolen.key_id): NOW + 15 * DAY},
    )
    yield Case(
        "old_marks",
        "Marks below what is given change nothing.",
        shown(phone()),
        marks={"trust": 4, "time": NOW - 9 * DAY, f"list {DAILY}": LISTS_AT - 300},
    )


def forged_texts() -> Iterator[Case]:
    honest = shown(phone())
    yield Case("not_a_code_other_prefix", "An EU certificate's prefix.", "HC1:" + honest[4:])
    yield Case("not_a_code_lower_case", "The prefix in small letters.", "km1:" + honest[4:])
    yield Case("not_a_code_empty", "Nothing behind the prefix.", "KM1:")
    yield Case("not_a_code_address", "An address, which nobody fetches.", "HTTPS://EVIL.EXAMPLE/STATUS/1")
    yield Case(
        "not_a_code_unknown_form",
        "A form byte that is not known.",
        "KM1:" + base45.encode(b"\x02" + base45.decode(honest[4:])[1:]),
    )
    pressed = base45.decode(honest[4:])
    yield Case(
        "not_a_code_damaged_stream",
        "A deflate stream of a reserved block type.",
        "KM1:" + base45.encode(b"\x01\x07" + pressed[2:]),
    )
    yield Case(
        "not_a_code_stream_cut_off",
        "A deflate stream whose end is missing.",
        "KM1:" + base45.encode(pressed[:-3]),
    )
    yield Case(
        "not_a_code_behind_the_stream",
        "Bytes behind the deflate stream.",
        "KM1:" + base45.encode(pressed + b"\0"),
    )
    yield Case("too_long", "1,201 characters.", "KM1:" + "0" * 1_197)
    yield Case("bad_base45_lower_case", "A small letter.", honest[:-1] + "a")
    yield Case("bad_base45_length", "A length that no bytes have.", "KM1:BB8BB8B")
    yield Case("bad_base45_group", "A group of three above 65,535.", honest[:10] + "GGW" + honest[13:])
    yield Case("bad_base45_pair", "A last pair above 255.", "KM1:BB8V5")
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = stream.compress(bytes(100_000)) + stream.flush()
    yield Case(
        "inflates_too_much", "100,000 zeros in a hundred bytes.", "KM1:" + base45.encode(b"\x01" + bomb)
    )


def packed(content: bytes) -> str:
    return text.pack(content)


def forged_messages() -> Iterator[Case]:
    made = issue.sign(paper(), CREDENTIAL)
    _, _, payload, signature = cbor2.loads(made).value
    yield Case("bad_cose_not_tagged", "A COSE_Sign1 without its tag.", packed(made[1:]))
    yield Case("bad_cose_other_tag", "Tag 17 in place of 18.", packed(b"\xd1" + made[1:]))
    yield Case("bad_cose_empty", "No message at all.", "KM1:" + base45.encode(b"\0"))
    at = made.index(b"\xa0", 10)
    yield Case(
        "bad_cose_unprotected",
        "Something in the unprotected header.",
        packed(made[:at] + b"\xa1\x05\x05" + made[at + 1 :]),
    )
    loose = cose.dumps(cbor2.CBORTag(18, [cose.dumps({1: -7}), {4: CREDENTIAL.key_id}, payload, signature]))
    yield Case("bad_cose_key_id_unprotected", "The key id where nobody signed it.", packed(loose))
    yield Case(
        "bad_cose_long_length",
        "A length in a longer form than needed.",
        packed(made[:2] + b"\x58\x0d" + made[3:]),
    )
    yield Case(
        "bad_cose_indefinite", "An array of indefinite length.", packed(b"\xd2\x9f" + made[2:] + b"\xff")
    )
    yield Case("bad_cose_five_items", "An array of five.", packed(b"\xd2\x85" + made[2:] + b"\x00"))
    yield Case("bad_cose_cut_off", "A message whose last byte is missing.", packed(made[:-1]))
    more = cose.sign1(payload, CREDENTIAL, headers={16: "cwt"})
    yield Case("bad_cose_further_header", "A further protected header.", packed(more))
    for name, algorithm in (("eddsa", -8), ("es384", -35), ("none", 0)):
        headers = cose.dumps({1: algorithm, 4: CREDENTIAL.key_id})
        sign = CREDENTIAL.sign(cose.dumps(["Signature1", headers, b"", payload]))
        forged = cose.dumps(cbor2.CBORTag(18, [headers, {}, payload, sign]))
        yield Case(
            f"wrong_algorithm_{name}",
            f"A message that claims algorithm {algorithm} for a P-256 key.",
            packed(forged),
        )
    no_algorithm = cose.dumps({4: CREDENTIAL.key_id})
    yield Case(
        "wrong_algorithm_absent",
        "A message that claims no algorithm.",
        packed(cose.dumps(cbor2.CBORTag(18, [no_algorithm, {}, payload, signature]))),
    )


def untrusted_keys() -> Iterator[Case]:
    yield Case("no_trust_none", "No trust list at all.", shown(phone()), trust=None, lists={})
    yield Case(
        "no_trust_one_signature",
        "A trust list signed by one root key of the two that are needed.",
        shown(phone()),
        trust=sign_trust(TRUST, ROOT_KEYS[:1]),
    )
    strangers = [key("stranger root 1"), key("stranger root 2")]
    yield Case(
        "no_trust_strangers",
        "A trust list signed by somebody else's root.",
        shown(phone()),
        trust=sign_trust(TRUST, strangers),
    )
    yield Case(
        "no_trust_rolled_back",
        "Version 5 of the trust list, where version 6 was seen.",
        shown(phone()),
        marks={"trust": 6},
    )
    yield Case(
        "no_trust_expired",
        "A trust list that expired more than 30 days ago.",
        shown(phone(issued=midnight(61), expires=midnight(62)), at=midnight(61)),
        now=midnight(61) + 20,
    )
    for environment in (Environment.DEVELOPMENT, Environment.PRODUCTION):
        wrong = key("credential", environment=environment)
        yield Case(
            f"wrong_environment_{environment}",
            f"A key id of {environment} at a verifier of test.",
            shown(phone(), wrong),
        )
    yield Case("unknown_key", "A key that nobody lists.", shown(phone(), STRANGER))
    yield Case(
        "revoked_key",
        "A key that was revoked three hours ago; signed before or after, nobody knows.",
        shown(phone(), REVOKED),
    )
    yield Case(
        "wrong_use_status_key", "A credential signed by a key for status lists.", shown(phone(), STATUS)
    )
    yield Case("wrong_use_kind", "Paper signed by a key for phones only.", shown(paper(), PHONES_ONLY))
    yield Case("wrong_authority_issuer", "Beijing's key signs as Tianjin.", shown(phone(issuer="cn-tj")))
    yield Case(
        "wrong_authority_list", "Beijing's key points at Tianjin's list.", shown(phone(uri=OTHER_DAILY))
    )
    yield Case(
        "wrong_authority_list_elsewhere",
        "A list whose address only begins like ours.",
        shown(phone(uri=f"{BASE}.evil.example/status/{TODAY}/0")),
    )
    yield Case("key_not_yet", "A key that begins tomorrow.", shown(phone(), NEXT))
    later = midnight(20) + 9 * HOUR
    yield Case(
        "key_over",
        "A key that ended 28 days ago.",
        shown(paper(issued=midnight(-8), expires=midnight(20) + 12 * HOUR), OLD),
        now=later,
    )


def forged_signatures() -> Iterator[Case]:
    made = bytearray(issue.sign(paper(), CREDENTIAL))
    at = made.index("欧阳".encode())
    made[at : at + 6] = "诸葛".encode()
    yield Case("bad_signature_mask", "Another mask under the same signature.", packed(bytes(made)))
    honest = issue.sign(paper(), CREDENTIAL)
    yield Case(
        "bad_signature_flipped",
        "The last bit of the signature flipped.",
        packed(honest[:-1] + bytes([honest[-1] ^ 1])),
    )
    yield Case("bad_signature_zero", "A signature of zeros.", packed(honest[:-64] + bytes(64)))
    other = issue.sign(paper(mask="诸葛*"), CREDENTIAL)
    yield Case(
        "bad_signature_swapped", "The signature of another credential.", packed(honest[:-64] + other[-64:])
    )


def wrong_claims() -> Iterator[Case]:
    base = cbor2.loads(claims_.encode(paper()))

    def with_(**changes: Any) -> bytes:
        said = {**base, **{int(k[1:].replace("m", "-")): v for k, v in changes.items()}}
        return cose.dumps({k: v for k, v in said.items() if v is not None})

    def case(name: str, title: str, payload: bytes, by: KeySigner | None = None) -> Case:
        return Case(f"bad_claims_{name}", title, shown(payload, by=by))

    yield case("colour", "A claim beyond the closed set.", with_(_5="green"))
    yield case("no_expiry", "No expiry.", with_(_4=None))
    yield case("expiry_is_text", "An expiry that is text.", with_(_4="2022-05-26"))
    yield case("expiry_is_a_float", "An expiry with a fraction.", with_(_4=float(midnight(25))))
    yield case("ends_before_it_begins", "An end before the beginning.", with_(_4=midnight(-4)))
    yield case("kind", "A kind that does not exist.", with_(_m65537=[4, "张*"]))
    yield case("mask_empty", "An empty mask.", with_(_m65537=[2, ""]))
    yield case("mask_long", "A mask of 25 bytes.", with_(_m65537=[2, "A" * 25]))
    yield case(
        "mask_turns_text_around",
        "A mask with a control of writing direction.",
        with_(_m65537=[2, "张\u202e*"]),
    )
    yield case(
        "index_negative", "An index below 0.", with_(_65535={"status_list": {"idx": -1, "uri": EXTRA}})
    )
    yield case(
        "status_further_member",
        "A further member of the status.",
        with_(_65535={"status_list": {"idx": 7, "uri": EXTRA, "x": 1}}),
    )
    yield case(
        "uri_with_a_space",
        "An address with a space.",
        with_(_65535={"status_list": {"idx": 7, "uri": EXTRA + " "}}),
    )
    yield case(
        "paper_with_a_key", "Paper with a holder's key.", with_(_8=cbor2.loads(claims_.encode(phone()))[8])
    )
    yield case("phone_without_a_key", "A phone without a holder's key.", with_(_m65537=[1, "张*"]))
    point = {1: {1: 2, -1: 1, -2: PHONE.public.raw[1:33], -3: PHONE.public.raw[33:]}}
    yield case(
        "y_in_full",
        "A holder's key with y in full: another form of the same point.",
        with_(_m65537=[1, "张*"], _8=point),
        PHONE,
    )
    payload = claims_.encode(paper())
    yield case(
        "long_number",
        "A number in a longer form than needed.",
        payload.replace(b"\x63idx\x07", b"\x63idx\x18\x07"),
    )
    first, second = payload[8:14], payload[14:20]
    yield case("unsorted", "Claims in another order.", payload[:8] + second + first + payload[20:])
    yield case("twice", "A claim given twice.", b"\xa6" + payload[1:8] + first + payload[8:])
    yield case("behind", "A byte behind the claims.", payload + b"\x00")
    yield case("not_a_map", "A list in place of a map.", cose.dumps([1, 2, 3]))
    yield case("empty", "No payload.", b"")


def wrong_times() -> Iterator[Case]:
    tomorrow = phone(issued=midnight(1), expires=midnight(2))
    yield Case("not_yet", "Tomorrow's credential, today.", shown(tomorrow))
    yield Case(
        "expired_phone",
        "Yesterday's credential, a minute after midnight.",
        shown(phone(), at=midnight(1) + 60),
        now=midnight(1) + 60,
    )
    yield Case(
        "expired_paper",
        "Paper that ended yesterday.",
        shown(paper(issued=midnight(-8), expires=midnight(-1))),
    )
    old = paper(issued=midnight(-8), expires=midnight(-1))
    yield Case(
        "expired_by_the_floor",
        "A clock ten days behind does not bring an expired code back.",
        shown(old),
        now=midnight(-3),
    )
    yield Case(
        "expired_by_the_mark",
        "A mark of time does not let it back either.",
        shown(phone(), at=NOW),
        marks={"time": midnight(1) + 60},
    )
    yield Case(
        "expired_by_the_mark_of_a_key",
        "A mark of the time that our own status key signed does not either.",
        shown(phone(), at=NOW),
        marks={of_key(STATUS.key_id): midnight(1) + 60},
    )
    tianjin = phone(issuer="cn-tj", uri=OTHER_DAILY, kind=Kind.PAPER, holder=None)
    yield Case(
        "expired_by_its_authority",
        "Another city that signs two days ahead ends its own codes.",
        shown(tianjin, OTHER_CREDENTIAL),
        lists={**ALL_LISTS, OTHER_DAILY: status_list(OTHER_DAILY, OTHER_STATUS, iat=NOW + 2 * DAY)},
    )
    yield Case(
        "expired_by_the_publisher",
        "What our own city has signed is the floor for another city's code too.",
        shown(tianjin, OTHER_CREDENTIAL),
        now=NOW - 3 * DAY,
        lists={DAILY: status_list(DAILY, iat=midnight(1) + 60), OTHER_DAILY: ALL_LISTS[OTHER_DAILY]},
    )
    yield Case(
        "lives_too_long_phone",
        "A phone's credential of 26 hours.",
        shown(phone(expires=midnight(1) + 2 * HOUR)),
    )
    yield Case("lives_too_long_paper", "Paper of 29 days.", shown(paper(expires=midnight(26))))
    yield Case(
        "lives_too_long_old_key",
        "A phone's credential of today by a key that ended eight days ago.",
        shown(phone(), OLD),
    )


def wrong_proofs() -> Iterator[Case]:
    made = issue.sign(phone(), CREDENTIAL)
    step = holder.step_of(NOW)
    proof = holder.prove(made, step, PHONE)
    yield Case("no_proof", "A phone's credential without a proof.", packed(made))
    paper_made = issue.sign(paper(), CREDENTIAL)
    yield Case("unexpected_proof", "Paper with a proof behind it.", packed(paper_made + proof))
    yield Case("unexpected_proof_bytes", "Paper with a byte behind it.", packed(paper_made + b"\0"))
    yield Case(
        "bad_proof_other_key", "A proof by another phone.", packed(made + holder.prove(made, step, STRANGER))
    )
    other = issue.sign(phone(YELLOW), CREDENTIAL)
    yield Case(
        "bad_proof_other_credential",
        "A proof for another credential of the same phone.",
        packed(made + holder.prove(other, step, PHONE)),
    )
    moved = b"\x82\x1a" + (step + 1).to_bytes(4, "big") + proof[6:]
    yield Case("bad_proof_other_step", "A proof moved by half a minute.", packed(made + moved))
    yield Case("bad_proof_cut_off", "A proof whose last byte is missing.", packed(made + proof[:-1]))
    yield Case("bad_proof_behind", "A byte behind the proof.", packed(made + proof + b"\0"))
    yield Case("bad_proof_other_form", "A proof of three items.", packed(made + b"\x83" + proof[1:] + b"\0"))
    nowhere = b"\x02" + bytes(31) + b"\x01"  # x = 1 is on no point of P-256
    lost = issue.sign(phone(holder=nowhere), CREDENTIAL)
    yield Case("bad_proof_no_point", "A holder's key that is no point of the curve.", packed(lost + proof))
    begun = NOW - NOW % 30
    yield Case("proof_old", "A picture of a code, a minute later.", shown(phone(), at=begun), now=begun + 60)
    yield Case("proof_old_yesterday", "A picture of this morning.", shown(phone(), at=NOW - 7 * HOUR))
    yield Case(
        "proof_ahead", "A proof 31 seconds ahead of our clock.", shown(phone(), at=begun), now=begun - 31
    )


def wrong_lists() -> Iterator[Case]:
    honest = shown(phone())

    def case(name: str, title: str, content: bytes | None, **more: Any) -> Case:
        return Case(name, title, honest, lists={} if content is None else {DAILY: content}, **more)

    fine = ALL_LISTS[DAILY]
    yield case("no_list", "No list at that address.", None)
    yield case(
        "bad_list_flipped", "A list with one bit flipped.", fine[:-90] + bytes([fine[-90] ^ 1]) + fine[-89:]
    )
    yield case("bad_list_cut_off", "Half a list.", fine[: len(fine) // 2])
    yield case("bad_list_empty", "An empty file.", b"")
    yield case("bad_list_other_address", "Another list of ours under this address.", ALL_LISTS[EXTRA])
    yield case(
        "bad_list_other_authority",
        "A list for our address by Tianjin's key.",
        status_list(DAILY, OTHER_STATUS),
    )
    yield case(
        "bad_list_credential_key", "A list signed by a key for credentials.", status_list(DAILY, CREDENTIAL)
    )
    yield case("bad_list_stranger", "A list signed by nobody we know.", status_list(DAILY, STRANGER))
    yield case("bad_list_two_bits", "A list of two bits a value.", status_list(DAILY, bits=2))
    yield case(
        "bad_list_lives_too_long", "A list that is good for eight days.", status_list(DAILY, life=8 * DAY)
    )
    yield case(
        "bad_list_before_its_key",
        "A list older than the key that signed it.",
        status_list(DAILY, iat=midnight(-11)),
    )
    yield case(
        "rolled_back", "A list older than one that was seen.", fine, marks={f"list {DAILY}": LISTS_AT + 300}
    )
    yield case("list_over", "A list that ended a second ago.", status_list(DAILY, iat=NOW - 7 * DAY))
    yield case(
        "rolled_back_by_its_key",
        "A list older than one that the same key signed.",
        fine,
        marks={of_list(DAILY, STATUS.key_id): LISTS_AT + 300},
    )
    before = trusted(OLD, Use.STATUS, midnight(-30), revoked_at=NOW - 3 * HOUR)  # a status key here
    keys = (BEIJING.keys[0], BEIJING.keys[5], before)
    yield case(
        "rolled_back_by_a_revoked_key",
        "A list of before the revocation, where a newer one by the key that was revoked had been seen.",
        status_list(DAILY, iat=NOW - 4 * HOUR),
        trust=sign_trust(replace(TRUST, authorities=(replace(BEIJING, keys=keys),)), ROOT_KEYS[:2]),
        marks={of_list(DAILY, OLD.key_id): NOW + 15 * DAY},
    )
    yield Case("no_such_index", "An index behind the end of the list.", shown(phone(1024)))
    yield Case(
        "withdrawn", "A withdrawn credential: neither green nor red, and refused.", shown(phone(WITHDRAWN))
    )
    yield Case("unknown_status", "The status is: unknown.", shown(phone(UNKNOWN)))
    yield Case("unknown_status_reserved", "A status that nobody has defined.", shown(phone(RESERVED)))


def cases() -> list[Case]:
    groups = (
        good,
        forged_texts,
        forged_messages,
        untrusted_keys,
        forged_signatures,
        wrong_claims,
        wrong_times,
        wrong_proofs,
        wrong_lists,
    )
    return [case for group in groups for case in group()]


# ------------------------------------------------------------------------------------------------- as JSON


def layers(scanned: str) -> dict[str, Any]:
    """Every layer of the text, as far as it can be taken apart; nothing of it is verified."""
    found: dict[str, Any] = dict.fromkeys(
        (
            "content",
            "sign1",
            "proof",
            "protected",
            "key_id",
            "payload",
            "signature",
            "signed",
            "claims",
            "step",
        )
    )
    try:
        content = text.unpack(scanned)
        found["content"] = content.hex()
        opened, end = cose.first1(content, most=text.MOST_INFLATED)
        found |= {
            "sign1": content[:end].hex(),
            "proof": content[end:].hex() or None,
            "protected": opened.protected.hex(),
            "key_id": opened.key_id.hex(),
            "payload": opened.payload.hex(),
            "signature": opened.signature.hex(),
            "signed": cose.dumps(["Signature1", opened.protected, b"", opened.payload]).hex(),
        }
        if content[end:]:
            step, signature = holder.read(content[end:])
            found["step"] = {
                "step": step,
                "signature": signature.hex(),
                "signed": holder.signed(content[:end], step).hex(),
            }
    except Refused:
        pass
    try:
        claims = claims_.decode(bytes.fromhex(found["payload"] or ""))
        found["claims"] = {
            "issuer": claims.issuer,
            "issued": claims.issued,
            "expires": claims.expires,
            "uri": claims.uri,
            "index": claims.index,
            "kind": claims.kind.name.lower(),
            "mask": claims.mask,
            "holder": claims.holder.hex() if claims.holder else None,
        }
    except Refused:
        pass
    return found


def run(said: Mapping[str, Any]) -> dict[str, Any]:
    """What our verifier makes of a vector: its `expected`."""
    root = decode_root(base64.b64decode(said["root"]))
    marks = MarksInMemory(dict(said["marks"]))
    verifier = Verifier(root, marks)
    taken: dict[str, Any] = {"trust": None, "lists": {}}
    if said["trust"] is not None:
        try:
            verifier.take_trust(base64.b64decode(said["trust"]))
            taken["trust"] = "taken"
        except Refused:
            taken["trust"] = "refused"
    for uri, content in sorted(said["lists"].items()):
        try:
            verifier.take_list(uri, base64.b64decode(content))
            taken["lists"][uri] = "taken"
        except Refused:
            taken["lists"][uri] = "refused"
    found = verifier.verify(said["text"], now=said["now"])
    seen = isinstance(found, Verified)
    return {
        "taken": taken,
        "outcome": found.outcome.value,
        "step": None if isinstance(found, Verified) else found.step,
        "reason": None if isinstance(found, Verified) else found.reason.value,
        "colour": found.colour.value if seen else None,
        "mask": found.mask if seen else None,
        "kind": found.kind.name.lower() if seen else None,
        "issuer": found.issuer if seen else None,
        "valid_until": found.valid_until if seen else None,
        "lists_age": found.lists_age if seen else None,
        "stale_since": found.stale_since if seen else None,
        "marks": dict(sorted(marks.marks.items())),
    }


def vector(case: Case) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": case.name,
        "title": case.title,
        "now": case.now,
        "marks": dict(sorted(case.marks.items())),
        "root": base64.b64encode(encode_root(ROOT)).decode(),
        "root_fingerprint": ROOT.fingerprint.hex(),
        "trust": None if case.trust is None else base64.b64encode(case.trust).decode(),
        "lists": {uri: base64.b64encode(content).decode() for uri, content in sorted(case.lists.items())},
        "text": case.text,
        "layers": layers(case.text),
    }
    return {**said, "expected": run(said)}


def files() -> dict[str, str]:
    """File name → content, all of them."""
    made = {f"{c.name}.json": json.dumps(vector(c), ensure_ascii=False, indent=1) + "\n" for c in cases()}
    assert len(made) == len(cases())
    return made


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = files()
    for old in FOLDER.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, content in made.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    wrong = [
        n
        for n, c in made.items()
        if (e := json.loads(c)["expected"])["reason"] and not n.startswith(e["reason"])
    ]
    sys.stdout.write(
        f"{len(made)} vectors\n" + "".join(f"not refused for what it is named for: {n}\n" for n in wrong)
    )


if __name__ == "__main__":
    main()
