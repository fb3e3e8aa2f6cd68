"""Makes sealed/*.json: HPKE and a bucket of sealed slots, byte for byte. `python tests/vectors/make_sealed.py [FOLDER]`.

HPKE is written out here by the sections of RFC 9180 (`sealed_reader`), with the sender's key as an argument; the tests
hold it against the library that the city uses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "front")]

import make_verify as world  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402
from sealed_reader import sealed_to  # noqa: E402

from kangma.sealed.part import BUCKET, EACH, Statement, Tree, state  # noqa: E402
from kangma.sealed.slot import PLACES, SLOT, Family, about, info, seal  # noqa: E402
from kangma.signing import cose  # noqa: E402
from kangma.signing.trust import encode_root, sign_trust  # noqa: E402
from kangma.terms import DAY, zone  # noqa: E402

sys.path[:2] = []

#: RFC 9180, A.3.1.1: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0.
RFC = {
    "from": "RFC 9180, A.3.1.1",
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "sender": "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb",
    "private": "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
    "public": "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f"
    "80e30f1d128aafd68a2ce72ea0",
    "aad": "436f756e742d30",
    "plain": "4265617574792069732074727574682c20747275746820626561757479",
    "message": "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c"
    "403ce65c9bfcb9382657222d18c45ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f395"
    "13434",
}  # fmt: skip
RELEASE, TREE = 4_711, 90_210
NOW = world.NOW
TODAY = zone("Asia/Shanghai").day(NOW)
FAMILY = Family(str(TODAY), TODAY, 0, 2, hashlib.sha256(b"sealed vector").digest())
NUMBER = 17


def _chance(what: str, size: int) -> bytes:
    return hashlib.shake_256(f"sealed vector {what}".encode()).digest(size)


def _private(what: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(_chance(what, 31), "big"), ec.SECP256R1())


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()


def _answer(colour: str, holds: int) -> bytes:
    hold = {"reason": {"zh": "请做核酸检测", "en": "Take a test, please. " * 9}}
    said = {
        "colour": colour,
        "holds": [{"rule": f"R{n}", **hold} for n in range(holds)],
        "name_mask": "*丽",
        "as_of": "2022-04-28T08:40:00+08:00",
        "release": RELEASE,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def hpke() -> dict[str, Any]:
    """The RFC's own, and one of what a phone is told."""
    return {"messages": [RFC]}


def bucket() -> dict[str, Any]:
    """A bucket with two slots that somebody has, one of them deflated; what opens them, and what must not."""
    phone = _private("phone")
    drawn = FAMILY.permutation().place(NUMBER)
    part, place = divmod(drawn, PLACES)
    beside = place // EACH * EACH + (place + 1) % EACH
    path, keys = FAMILY.path(part), (FAMILY.key(NUMBER), _chance("another key", 16))
    answers = (_answer("green", 0), _answer("red", 12))
    slots = bytearray(_chance("slots", PLACES * SLOT))
    for at, key, answer in zip((place, beside), keys, answers, strict=True):
        bound = about(f"{world.BASE}/{path}", at, RELEASE)
        slots[at * SLOT : (at + 1) * SLOT] = seal(answer, key, _chance(f"nonce {at}", 12), bound)
    tree = Tree(slots)
    said = Statement(f"{world.BASE}/{path}", NOW - 60, NOW - 60 + 7 * DAY, 300, RELEASE, TREE, tree.root)
    file = tree.part(state(said, world.STATUS))
    first = place // EACH * BUCKET
    found = file[first : first + BUCKET]
    midnight = zone("Asia/Shanghai").midnight
    told = [[midnight(TODAY), midnight(TODAY + 1), path, place, keys[0]]]
    strange = tree.part(state(said, world.OTHER_STATUS))[first : first + BUCKET]
    size = int.from_bytes(found[:2], "big")
    return {
        "base": world.BASE,
        "now": NOW,
        "root": encode_root(world.ROOT).hex(),
        "trust": sign_trust(world.TRUST, world.ROOT_KEYS[:2]).hex(),
        "family": {"name": FAMILY.name, "first": FAMILY.first, "parts": FAMILY.parts, "secret": FAMILY.secret.hex()},
        "number": NUMBER,
        "phone": {
            "private": phone.private_numbers().private_value.to_bytes(32, "big").hex(),
            "public": _public(phone),
        },
        "told": sealed_to(
            phone.public_key(), _private("sender"), info(world.BASE), b"", cose.dumps(told)
        ).hex(),
        "bucket": base64.b64encode(found).decode(),
        "shows": [
            {"path": path, "place": at, "key": key.hex(), "answer": answer.decode()}
            for at, key, answer in zip((place, beside), keys, answers, strict=True)
        ],
        "refused": [
            {"why": "another key", "key": keys[1].hex()},
            {"why": "the place beside", "place": beside},
            {"why": "the place of another bucket", "place": (place + EACH) % PLACES},
            {"why": "another part", "path": FAMILY.path(1 - part)},
            {"why": "another day", "path": path.replace(str(TODAY), str(TODAY + 1))},
            {"why": "the statement is changed", "change": 2 + size // 2},
            {"why": "its signature is changed", "change": 2 + size - 1},
            {"why": "something stands behind the statement", "change": 2 + size},
            {"why": "its length is changed", "change": 1},
            {"why": "the path to the root is changed", "change": 512 + 100},
            {"why": "another slot of the bucket is changed", "change": 768 + (place + 3) % EACH * SLOT + 7},
            {"why": "its own slot is changed", "change": 768 + place % EACH * SLOT + 1_000},
            {"why": "signed by another city", "head": base64.b64encode(strange[:512]).decode()},
            {"why": "cut off", "cut": 1},
            {"why": "seven days later", "now": NOW - 60 + 7 * DAY},
        ],
    }  # fmt: skip


def main(folder: Path) -> None:
    for name, made in (("hpke", hpke()), ("bucket", bucket())):
        (folder / f"{name}.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sealed")
