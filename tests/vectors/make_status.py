"""Makes tests/vectors/status/*.json: `python tests/vectors/make_status.py [folder]`.

Language-neutral: whoever reads lists in another language runs the same files. Each has its own clock, the key, the
content as hex (a JWT as text), and what must come of it, by step:

open      the bytes are taken apart
verify    the signature under `key`, then the inflation
apply     (deltas) on the list that `base` is, itself a token under `key`
read      the status at each of `ask`

`expected.result` is "list", or "refused" at `expected.step` with `expected.code` (docs/reference/refusals.md).
`over` is whether the clock stands at or behind `exp`. Names say the defect. The same inputs give the same bytes, but
for `lst`, which another implementation of zlib may deflate otherwise: then the files are not made anew.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import numpy as np

from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.status import delta, lists, token
from kangma.status.lists import Status
from kangma.status.token import Claims, to_cwt, to_jwt

HERE = Path(__file__).parent / "status"
SIGNER = KeySigner(Algorithm.ES256, bytes(range(32)), Environment.TEST)
OTHER = KeySigner(Algorithm.ES256, bytes(range(1, 33)), Environment.TEST)
ED = KeySigner(Algorithm.EDDSA, bytes(range(32)), Environment.TEST)
URI = "https://kangma.example/status/19107/0"
NOW = 1_650_844_800  # 2022-04-25T00:00:00Z
WEEK, QUARTER = 7 * 86_400, 900

BEFORE = np.zeros(1_024, np.uint8)
BEFORE[[17, 18, 300, 301, 999]] = Status.YELLOW, Status.RED, Status.NOTICE, Status.INVALID, Status.UNKNOWN
AFTER = BEFORE.copy()
AFTER[[0, 17, 400, 1_023]] = Status.YELLOW, Status.VALID, Status.YELLOW, Status.RED
ASK = [0, 1, 17, 18, 300, 301, 400, 999, 1_023]


def claims(values: np.ndarray[Any, Any] = BEFORE, **other: Any) -> Claims:
    lst = lists.compress(lists.pack(values, other.get("bits", 4)))
    given = {"sub": URI, "iat": NOW, "exp": NOW + WEEK, "ttl": 300, "bits": 4, "lst": lst}
    return Claims(**{**given, "release": 7, "tree_size": 12_345, **other})


LATER = claims(AFTER, iat=NOW + QUARTER, exp=NOW + QUARTER + WEEK, release=8, tree_size=12_349)
LIST = to_cwt(claims(), SIGNER)


def list_payload(**changes: Any) -> dict[Any, Any]:
    made = claims()
    payload = {**token.times_and_place(made), 65533: {"bits": 4, "lst": made.lst}}
    return with_changes(payload, changes)


def with_changes(payload: dict[Any, Any], changes: dict[str, Any]) -> dict[Any, Any]:
    """`_2=None` drops claim 2, `_2=x` sets it, `minus_65537=x` claim -65537, `text_2` the claim "2"."""
    for name, new in changes.items():
        sign, _, label = name.rpartition("_")
        key: Any = {"": int, "minus": lambda x: -int(x), "text": str, "float": float}[sign](label)
        payload = {k: v for k, v in payload.items() if not (k == key and type(k) is type(key))}
        if new is not None:
            payload[key] = new
    return payload


def sign(payload: object, typ: Any = token.CWT, signer: KeySigner = SIGNER, **headers: Any) -> bytes:
    content = payload if isinstance(payload, bytes) else cose.dumps(payload)
    return cose.sign1(content, signer, headers={cose.TYP: typ, **with_changes({}, headers)})


def listed(**changes: Any) -> bytes:
    return sign(list_payload(**changes))


def with_lst(lst: bytes) -> bytes:
    return listed(_65533={"bits": 4, "lst": lst})


def delta_token(before: np.ndarray[Any, Any] = BEFORE, base_iat: int = NOW, **later: Any) -> bytes:
    made = replace(LATER, **later)
    content = delta.delta_cwt(lists.pack(before, 4), base_iat, lists.pack(AFTER, 4), made, SIGNER)
    assert content is not None
    return content


def delta_payload(**inner: Any) -> dict[Any, Any]:
    payload = dict(cose.loads(cose.loads(delta_token(), most=9_999).value[2], most=9_999))
    payload[delta.CHANGES] = with_changes(dict(payload[delta.CHANGES]), inner)
    return payload


def changed(**inner: Any) -> bytes:
    return sign(delta_payload(**inner), delta.CWT)


def changes(edit: Callable[[bytearray], None]) -> bytes:
    """The delta with its changes edited and the digest of the result left as it was."""
    content = bytearray(delta_payload()[delta.CHANGES][4])
    edit(content)
    return changed(_4=bytes(content))


def turned(content: bytes, at: int, bit: int = 1) -> bytes:
    made = bytearray(content)
    made[at] ^= bit
    return bytes(made)


def jwt(
    header: str | None = None, payload: str | None = None, edit: Callable[[dict[str, Any]], Any] | None = None
) -> str:
    """A JWT signed rightly over an edited header or payload."""
    parts = to_jwt(claims(), SIGNER).split(".")
    found = [base64.urlsafe_b64decode(p + "==").decode() for p in parts[:2]]
    if edit:
        value = json.loads(found[1])
        edit(value)
        payload = json.dumps(value, separators=(",", ":"))
    found = [header or found[0], payload or found[1]]
    signed = ".".join(base64.urlsafe_b64encode(x.encode()).rstrip(b"=").decode() for x in found)
    return f"{signed}.{base64.urlsafe_b64encode(SIGNER.sign(signed.encode())).rstrip(b'=').decode()}"


def said(step: str, code: str) -> dict[str, Any]:
    return {"result": "refused", "step": step, "code": code}


def good(made: Claims, values: np.ndarray[Any, Any], clock: int) -> dict[str, Any]:
    raw = lists.pack(values, made.bits)
    return {
        "result": "list",
        "sub": made.sub,
        "iat": made.iat,
        "exp": made.exp,
        "ttl": made.ttl,
        "release": made.release,
        "tree_size": made.tree_size,
        "size": len(raw) * 8 // made.bits,
        "sha256": lists.digest(raw).hex(),
        "age": clock - made.iat,
        "over": clock >= made.exp,
        "statuses": {str(i): int(values[i]) for i in ASK if i < values.size},
    }


def vectors() -> dict[str, dict[str, Any]]:
    """File name without ending → vector."""
    made: dict[str, dict[str, Any]] = {}

    def add(
        name: str,
        about: str,
        content: bytes | str,
        expected: dict[str, Any],
        *,
        form: str = "cwt",
        clock: int = NOW + 60,
        base: bytes | None = None,
        key: KeySigner = SIGNER,
    ) -> None:
        vector: dict[str, Any] = {"about": about, "clock": clock, "form": form}
        vector["key"] = {
            "kid": key.key_id.hex(),
            "alg": int(key.public.algorithm),
            "raw": key.public.raw.hex(),
        }
        if base is not None:
            vector["base"] = base.hex()
        vector["content"] = content if isinstance(content, str) else content.hex()
        vector["ask"] = [int(i) for i in expected.get("statuses", {})] or ASK
        vector["expected"] = expected
        made[name] = vector

    bad, signature = said("open", "bad_message"), said("verify", "bad_signature")

    # Lists as they should be.
    add("list", "A list in CWT form.", LIST, good(claims(), BEFORE, NOW + 60))
    add(
        "list-jwt",
        "The same list in JWT form.",
        to_jwt(claims(), SIGNER),
        good(claims(), BEFORE, NOW + 60),
        form="jwt",
    )
    add(
        "list-over",
        "Verified, and its time is over: that is for the reader to say.",
        LIST,
        good(claims(), BEFORE, NOW + WEEK),
        clock=NOW + WEEK,
    )
    for bits in (1, 2, 8):
        values = np.minimum(BEFORE, 2**bits - 1).astype(np.uint8)
        one = claims(values, bits=bits)
        add(f"list-{bits}-bits", f"Values of {bits} bits.", to_cwt(one, SIGNER), good(one, values, NOW + 60))
    full = claims(lst=lists.compress(lists.pack(BEFORE, 4), search=True))
    add(
        "list-searched",
        "Deflated with the full search: the same list.",
        to_cwt(full, SIGNER),
        good(full, BEFORE, NOW + 60),
    )
    stored = claims(lst=zlib.compress(lists.pack(BEFORE, 4), 0))
    add(
        "list-stored",
        "Not deflated at all, but zlib: the same list.",
        to_cwt(stored, SIGNER),
        good(stored, BEFORE, NOW + 60),
    )

    # The envelope.
    add("cut-off", "The last byte is missing.", LIST[:-1], bad)
    add("empty", "No bytes.", b"", bad)
    add("trailing-byte", "A byte behind the end.", LIST + b"\0", bad)
    add(
        "half-written",
        "The beginning of one version and the end of the next.",
        LIST[:120] + to_cwt(LATER, SIGNER)[120:],
        bad,
    )
    item = cose.loads(LIST, most=9_999)
    add("untagged", "A COSE_Sign1 without its tag 18.", cose.dumps(list(item.value)), bad)
    add("cwt-tag", "Wrapped in the CWT tag 61.", cose.dumps(cbor2.CBORTag(61, item)), bad)
    add(
        "long-length",
        "A length in more bytes than it needs: not deterministic.",
        LIST.replace(b"\x58\x40", b"\x59\x00\x40", 1),
        bad,
    )
    add(
        "unprotected-header",
        "Something is in the unprotected header.",
        cose.dumps(cbor2.CBORTag(18, [item.value[0], {4: b"x"}, *item.value[2:]])),
        bad,
    )
    add(
        "unprotected-array",
        "The unprotected header is an empty array, not a map.",
        cose.dumps(cbor2.CBORTag(18, [item.value[0], [], *item.value[2:]])),
        bad,
    )
    add("extra-header", "A protected header that is none of ours.", sign(list_payload(), _5=b"x"), bad)
    add("no-type", "No type in the protected header.", cose.sign1(cose.dumps(list_payload()), SIGNER), bad)
    add("wrong-type", "The type of another token.", sign(list_payload(), "application/cwt"), bad)
    add(
        "short-signature",
        "A signature of 63 bytes.",
        cose.dumps(cbor2.CBORTag(18, [*item.value[:3], item.value[3][:-1]])),
        bad,
    )

    # The signature.
    add("turned-bit-in-signature", "One bit of the signature is turned.", turned(LIST, -1), signature)
    add(
        "turned-bit-in-list",
        "One bit of the deflated list is turned.",
        turned(LIST, LIST.index(claims().lst) + 20),
        signature,
    )
    add("wrong-key", "Signed by another key than the one at hand.", to_cwt(claims(), OTHER), signature)
    forged = sign(list_payload(), _1=-8)
    add("wrong-algorithm", "Claims EdDSA; the key is of P-256.", forged, signature)
    add("key-of-another-algorithm", "The key at hand is of Ed25519.", LIST, signature, key=ED)

    # The claims.
    for label, word in ((2, "sub"), (4, "exp"), (6, "iat"), (65533, "status-list"), (65534, "ttl")):
        add(f"no-{word}", f"Claim {label} is missing.", listed(**{f"_{label}": None}), bad)
    add("no-release", "Claim -65537 is missing.", listed(minus_65537=None), bad)
    add("extra-claim", "A claim that is none of ours.", listed(_1="cn-bj"), bad)
    add("text-label", 'The claim "2" in place of 2.', listed(_2=None, text_2=URI), bad)
    add("float-label", "The claim 2.0 in place of 2.", listed(_2=None, float_2=URI), bad)
    add(
        "unsorted-claims",
        "Claims not in deterministic order.",
        sign(cbor2.dumps(dict(reversed(list_payload().items())))),
        bad,
    )
    add("claims-not-a-map", "The payload is an array.", sign([1, 2]), bad)
    add("exp-at-iat", "Lives no second.", listed(_4=NOW), bad)
    add("negative-iat", "Issued before 1970.", listed(_6=-1), bad)
    add("float-exp", "A time that is no whole number.", listed(_4=float(NOW + WEEK)), bad)
    add("ttl-0", "To be asked for again at once and for ever.", listed(_65534=0), bad)
    add("ttl-true", "true where a number belongs.", listed(_65534=True), bad)
    add(
        "number-too-large",
        "A release that not every reader counts exactly.",
        listed(minus_65537=[2**53, 1]),
        bad,
    )
    add("release-of-three", "Three numbers where two belong.", listed(minus_65537=[7, 8, 9]), bad)
    add("sub-empty", "The list has no name.", listed(_2=""), bad)
    add(
        "sub-not-ascii",
        "A URI with characters that URIs do not have.",
        listed(_2="https://健康.example/status/19107/0"),
        bad,
    )
    add("sub-line-break", "A URI with a line break.", listed(_2=URI + "\n"), bad)
    add("sub-too-long", "A URI of 257 characters.", listed(_2="x" * 257), bad)
    lst = claims().lst
    for name, about, inner in (
        ("bits-3", "Values of 3 bits.", {"bits": 3, "lst": lst}),
        ("bits-0", "Values of no bits.", {"bits": 0, "lst": lst}),
        ("bits-true", "true where 1 belongs.", {"bits": True, "lst": lst}),
        ("lst-text", "lst as in JSON, a text.", {"bits": 4, "lst": base64.urlsafe_b64encode(lst).decode()}),
        ("no-bits", "No width.", {"lst": lst}),
        (
            "extra-in-status-list",
            "A member that is none of ours.",
            {"bits": 4, "lst": lst, "aggregation_uri": "x"},
        ),
        ("status-list-array", "An array where a map belongs.", [4, lst]),
    ):
        add(name, about, listed(_65533=inner), bad)

    # What is signed and does not inflate.
    unreadable, cut = said("verify", "unreadable"), said("verify", "cut_off")
    add(
        "bomb",
        "Inflates to one byte more than any list.",
        with_lst(zlib.compress(bytes(2**20 + 1), 9)),
        said("verify", "inflates_too_much"),
    )
    add(
        "bomb-of-50-mb",
        "50 MB of zeros in 51 kB.",
        with_lst(zlib.compress(bytes(50 * 2**20), 9)),
        said("verify", "inflates_too_much"),
    )
    add(
        "bomb-not-signed",
        "The same bomb under another key: refused before a byte is inflated.",
        sign(list_payload(_65533={"bits": 4, "lst": zlib.compress(bytes(2**20 + 1), 9)}), signer=OTHER),
        signature,
    )
    add("lst-cut-off", "The zlib stream ends early.", with_lst(lst[:-5]), cut)
    add("lst-empty", "No zlib stream at all.", with_lst(b""), cut)
    add("lst-not-zlib", "Raw bytes.", with_lst(lists.pack(BEFORE, 4)), unreadable)
    add("lst-wrong-checksum", "The Adler-32 of another content.", with_lst(turned(lst, -1)), unreadable)
    add("lst-trailing-byte", "A byte behind the zlib stream.", with_lst(lst + b"\0"), unreadable)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    add(
        "lst-raw-deflate",
        "DEFLATE without the frame of zlib.",
        with_lst(deflate.compress(bytes(512)) + deflate.flush()),
        unreadable,
    )
    gzip = zlib.compressobj(9, zlib.DEFLATED, 31)
    add(
        "lst-gzip",
        "DEFLATE in the frame of gzip.",
        with_lst(gzip.compress(bytes(512)) + gzip.flush()),
        unreadable,
    )
    beyond = good(claims(), BEFORE, NOW + 60)
    add(
        "index-beyond-the-list",
        "The list holds; the index that is asked for is not in it.",
        LIST,
        said("read", "bad_number"),
    )
    made["index-beyond-the-list"]["ask"] = [beyond["size"]]

    # JWT.
    head = json.dumps({"alg": "ES256", "kid": SIGNER.key_id.hex(), "typ": token.JWT}, separators=(",", ":"))
    text = to_jwt(claims(), SIGNER)

    def add_jwt(name: str, about: str, content: str, expected: dict[str, Any]) -> None:
        add(f"jwt-{name}", about, content, expected, form="jwt")

    add_jwt(
        "alg-none",
        'alg "none" and no signature.',
        jwt(head.replace("ES256", "none")).rpartition(".")[0] + ".",
        bad,
    )
    add_jwt("alg-hs256", "The public key taken for a secret.", jwt(head.replace("ES256", "HS256")), bad)
    add_jwt("wrong-type", "The type of another token.", jwt(head.replace("statuslist+jwt", "JWT")), bad)
    add_jwt("no-kid", "No key id.", jwt(head.replace(',"kid":"' + SIGNER.key_id.hex() + '"', "")), bad)
    add_jwt("extra-header", "A header that is none of ours.", jwt(head[:-1] + ',"crit":["x"]}'), bad)
    add_jwt("jwk-header", "Brings its own key.", jwt(head[:-1] + ',"jwk":{}}'), bad)
    add_jwt("wrong-key", "Signed by another key.", to_jwt(claims(), OTHER), signature)
    add_jwt(
        "turned-bit-in-signature",
        "One bit of the signature is turned.",
        text[:-4] + ("A" if text[-4] != "A" else "B") + text[-3:],
        signature,
    )
    add_jwt("padded", "Base64 with padding.", text + "==", bad)
    add_jwt("line-break", "A line break behind the end.", text + "\n", bad)
    add_jwt("four-parts", "Four parts.", text + ".x", bad)
    plain = base64.urlsafe_b64decode(text.split(".")[1] + "==").decode()
    add_jwt("twice-named", "A claim given twice.", jwt(payload=plain[:-1] + ',"ttl":301}'), bad)
    other_end = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = text[:-1] + other_end[other_end.index(text[-1]) + 1]
    add_jwt("signature-in-another-spelling", "Stands for the same 64 bytes.", respelled, bad)
    kid = SIGNER.key_id.hex()
    add_jwt("kid-in-capitals", "The key id in another spelling.", jwt(head.replace(kid, kid.upper())), bad)
    add_jwt("kangma-of-one", "One number where two belong.", jwt(edit=lambda c: c.update(kangma=[7])), bad)
    add_jwt("kangma-text", "A text where two numbers belong.", jwt(edit=lambda c: c.update(kangma="78")), bad)
    add_jwt("deep", "Nested ten thousand deep.", jwt(payload="[" * 10_000), bad)
    add_jwt("exp-text", "A time as text.", jwt(edit=lambda c: c.update(exp=str(c["exp"]))), bad)
    add_jwt(
        "exp-float", "A time that is no whole number.", jwt(edit=lambda c: c.update(exp=c["exp"] + 0.5)), bad
    )
    add_jwt("extra-claim", "A claim that is none of ours.", jwt(edit=lambda c: c.update(iss="x")), bad)
    add_jwt("no-ttl", "No ttl.", jwt(edit=lambda c: c.pop("ttl")), bad)
    add_jwt(
        "lst-padded",
        "lst with padding.",
        jwt(edit=lambda c: c["status_list"].update(lst=c["status_list"]["lst"] + "=")),
        bad,
    )
    add_jwt(
        "lst-plain-base64",
        "lst in the alphabet with + and /.",
        jwt(edit=lambda c: c["status_list"].update(lst="eNo/+w==")),
        bad,
    )
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(2**20 + 1), 9)).rstrip(b"=").decode()
    add_jwt(
        "bomb",
        "Inflates to one byte more than any list.",
        jwt(edit=lambda c: c["status_list"].update(lst=bomb)),
        said("verify", "inflates_too_much"),
    )

    # Deltas.
    def add_delta(
        name: str, about: str, content: bytes, expected: dict[str, Any], base: bytes = LIST
    ) -> None:
        add(f"delta{name}", about, content, expected, form="delta", base=base, clock=NOW + QUARTER + 60)

    after = good(LATER, AFTER, NOW + QUARTER + 60)
    add_delta("", "Four changes.", delta_token(), after)
    nothing = delta.delta_cwt(lists.pack(BEFORE, 4), NOW, lists.pack(BEFORE, 4), LATER, SIGNER)
    assert nothing is not None
    add_delta(
        "-without-changes", "Signed anew, nothing changed.", nothing, good(LATER, BEFORE, NOW + QUARTER + 60)
    )
    wrong = said("apply", "wrong_base")
    add_delta(
        "-other-version",
        "The base is a version older than the delta's.",
        delta_token(base_iat=NOW + 1),
        wrong,
    )
    add_delta(
        "-other-list",
        "The base has the same values and another name.",
        delta_token(sub=URI[:-1] + "1"),
        wrong,
    )
    add_delta(
        "-other-content", "The base has the same name and time and other values.", delta_token(AFTER), wrong
    )
    add_delta(
        "-applied-twice", "The base is the result already.", delta_token(), wrong, to_cwt(LATER, SIGNER)
    )
    add_delta("-wrong-result", "Leads to another list than it says.", changed(_3=bytes(32)), wrong)
    add_delta(
        "-turned-value",
        "One new value is another; the result's digest tells.",
        changes(lambda c: c.__setitem__(6, 0xE)),
        wrong,
    )
    add_delta("-wrong-key", "Signed by another key.", sign(delta_payload(), delta.CWT, OTHER), signature)
    add_delta("-is-a-list", "A list where a delta belongs.", LIST, bad)
    add("list-is-a-delta", "A delta where a list belongs.", delta_token(), bad)
    add_delta("-not-newer", "Its base is no older than itself.", changed(_1=NOW + QUARTER), bad)
    add_delta("-short-digest", "A digest of 31 bytes.", changed(_2=bytes(31)), bad)
    add_delta("-extra-member", "A member that is none of ours.", changed(_5=0), bad)
    add_delta("-no-changes-member", "No changes, not even none.", changed(_4=None), bad)
    add_delta("-text-label", 'The member "1" in place of 1.', changed(_1=None, text_1=NOW), bad)
    wild = said("apply", "bad_message")
    add_delta("-changes-empty", "Changes of no bytes.", changed(_4=b""), wild)
    add_delta(
        "-changes-cut-off", "The last byte of the changes is missing.", changes(lambda c: c.pop()), wild
    )
    add_delta("-changes-trailing-byte", "A byte behind the changes.", changes(lambda c: c.append(0)), wild)
    add_delta("-k-too-large", "Gaps of 25 low bits.", changes(lambda c: c.__setitem__(0, 25)), wild)
    add_delta(
        "-more-changes-than-values",
        "4,294,967,295 changes.",
        changes(lambda c: c.__setitem__(slice(1, 5), b"\xff" * 4)),
        wild,
    )
    add_delta(
        "-index-beyond-the-list",
        "The last index lies behind the end.",
        changes(lambda c: c.__setitem__(11, c[11] | 0x20)),
        wild,
    )
    add_delta("-value-too-wide", "A new value of 5 bits.", changes(lambda c: c.__setitem__(6, 0x10)), wild)
    add_delta(
        "-value-twice", "Two of the new values are the same.", changes(lambda c: c.__setitem__(7, c[6])), wild
    )
    add_delta(
        "-place-beyond-values",
        "The fourth of three new values.",
        changes(lambda c: c.__setitem__(-1, 0x8D)),
        wild,
    )
    add_delta("-float-label", "The member 4.0 in place of 4.", changed(_4=None, float_4=bytes(5)), bad)
    add_delta(
        "-low-padding-not-0",
        "A bit is set behind the low bits of the last gap.",
        changes(lambda c: c.__setitem__(12, c[12] | 0x80)),
        wild,
    )
    add_delta(
        "-padding-not-0",
        "A bit is set behind the last place.",
        changes(lambda c: c.__setitem__(-1, c[-1] | 0x80)),
        wild,
    )
    return made


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, vector in vectors().items():
        (folder / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
