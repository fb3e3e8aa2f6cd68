"""The vectors of sealed slots, by the city's own code and by the plain reader; and that the script makes them."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kangma.errors import Refused
from kangma.sealed.part import EACH, open_bucket
from kangma.sealed.slot import PLACES, Family, Told, about, open_slot, tell, told
from kangma.signing.trust import Use, decode_root, open_trust

FOLDER = Path(__file__).parents[1] / "vectors"
sys.path.insert(0, str(FOLDER.parent / "front"))
import sealed_reader  # noqa: E402

sys.path.pop(0)
P256 = ec.SECP256R1()
HPKE = json.loads((FOLDER / "sealed/hpke.json").read_text("utf-8"))
ONE: dict[str, Any] = json.loads((FOLDER / "sealed/bucket.json").read_text("utf-8"))


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(text, 16), P256)


def test_hpke_is_the_rfcs() -> None:
    for one in HPKE["messages"]:
        info, aad, plain, message = (bytes.fromhex(one[n]) for n in ("info", "aad", "plain", "message"))
        reader = private(one["private"])
        assert (
            sealed_reader.sealed_to(reader.public_key(), private(one["sender"]), info, aad, plain) == message
        )
        assert sealed_reader.unsealed(reader, message, info, aad) == plain


def test_the_library_and_the_rfc_understand_each_other() -> None:
    """What the city says by `cryptography` is read by the sections of the RFC, and the other way round."""
    phone, base = private(ONE["phone"]["private"]), ONE["base"]
    several = [Told(10, 20, "sealed/1/2", n, bytes([n] * 16)) for n in range(3)]
    said = base64.urlsafe_b64encode(tell(several, phone.public_key(), base)).decode()
    read = sealed_reader.places({"sealed": said}, phone, base)
    assert [(p.begins, p.ends, p.path, p.place, p.key) for p in read] == [
        (t.begins, t.ends, t.path, t.place, t.key) for t in several
    ]
    (mine,) = told(bytes.fromhex(ONE["told"]), phone, base)
    first = ONE["shows"][0]
    assert (mine.path, mine.place, mine.key.hex()) == (first["path"], first["place"], first["key"])
    for other in (private("77"), phone):
        with pytest.raises(Refused):
            told(bytes.fromhex(ONE["told"]), other, base if other is not phone else "https://other.example")
    with pytest.raises(Refused):
        told(b"short", phone, base)


def read(**changed: Any) -> bytes:
    """What a phone of ours makes of the bucket with these changes. Refused, or KeyError for a key of nobody."""
    one = ONE["shows"][0] | {"now": ONE["now"]} | changed
    content = bytearray(base64.b64decode(ONE["bucket"]))
    if "change" in one:
        content[one["change"]] ^= 1
    if "head" in one:
        content[:512] = base64.b64decode(one["head"])
    opened = open_bucket(bytes(content[: len(content) - one.get("cut", 0)]))
    trust = open_trust(bytes.fromhex(ONE["trust"])).verify(decode_root(bytes.fromhex(ONE["root"])))
    keys = {k.id: k for k in trust.publisher.keys if k.use is Use.STATUS}
    bucket = opened.verify(keys[opened.key_id].public, one["place"] // EACH)
    said = bucket.statement
    if said.sub != f"{ONE['base']}/{one['path']}" or one["now"] >= said.exp:
        raise KeyError
    bound = about(said.sub, one["place"], said.release)
    return open_slot(bucket.slot(one["place"]), bytes.fromhex(one["key"]), bound)


def test_what_was_sealed_is_shown_and_nothing_else() -> None:
    for one in ONE["shows"]:
        assert read(**one).decode() == one["answer"]
    for one in ONE["refused"]:
        with pytest.raises((Refused, KeyError)):
            read(**{name: value for name, value in one.items() if name != "why"})


def test_place_and_key_are_drawn_from_the_days_secret() -> None:
    f = ONE["family"]
    family = Family(f["name"], int(f["name"]), f["first"], f["parts"], bytes.fromhex(f["secret"]))
    part, place = divmod(family.permutation().place(ONE["number"]), PLACES)
    first = ONE["shows"][0]
    assert (family.path(part), place) == (first["path"], first["place"])
    assert family.key(ONE["number"]).hex() == first["key"]
    assert f["secret"] not in repr(family)


@pytest.mark.skipif(
    "ng" in zlib.ZLIB_RUNTIME_VERSION, reason="another zlib makes other bytes of the same text"
)
def test_the_script_makes_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import make_sealed  # noqa: PLC0415  beside the vectors

    make_sealed.main(tmp_path)
    for file in ("hpke.json", "bucket.json"):
        assert (tmp_path / file).read_bytes() == (FOLDER / "sealed" / file).read_bytes(), file
    sys.modules.pop("make_sealed")
