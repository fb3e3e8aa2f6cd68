"""The published vectors byte for byte, and ours, which other languages run as well."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from kangma.errors import Refused
from kangma.signing.keys import Algorithm, PublicKey
from kangma.status import lists
from kangma.status.delta import open_delta
from kangma.status.token import open_cwt, open_jwt

VECTORS = Path(__file__).parents[1] / "vectors"
OURS = sorted((VECTORS / "status").glob("*.json"))
PUBLISHED = json.loads((VECTORS / "status" / "published" / "draft-21.json").read_text("utf-8"))
#: The bytes of a deflated list are no part of what it says. Those of the draft, and of ours, come from the first zlib;
#: a Python that is linked to another (zlib-ng) inflates them all the same and deflates otherwise.
FIRST_ZLIB = pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="another zlib deflates otherwise")


def _values(published: dict[str, Any]) -> np.ndarray[Any, Any]:
    values = np.zeros(published["size"], np.uint8)
    for index, status in published["statuses"].items():
        values[int(index)] = status
    return values


@pytest.mark.parametrize("published", PUBLISHED["lists"], ids=lambda p: p["where"])
def test_published_bytes_are_read_as_the_statuses_that_are_published_with_them(
    published: dict[str, Any],
) -> None:
    found = cbor2.loads(bytes.fromhex(published["cbor"]))
    assert found["bits"] == published["bits"]
    assert base64.urlsafe_b64encode(found["lst"]).rstrip(b"=").decode() == published["lst"]
    raw = lists.inflate(found["lst"])
    assert (lists.unpack(raw, published["bits"]) == _values(published)).all()
    for index, status in published["statuses"].items():
        assert lists.value(raw, published["bits"], int(index)) == status


@FIRST_ZLIB
@pytest.mark.parametrize("published", PUBLISHED["lists"], ids=lambda p: p["where"])
def test_published_statuses_are_written_as_the_bytes_that_are_published_with_them(
    published: dict[str, Any],
) -> None:
    lst = lists.compress(lists.pack(_values(published), published["bits"]), search=True)
    # The draft writes "bits" before "lst"; in our tokens, which are deterministic CBOR, "lst" comes first.
    assert cbor2.dumps({"bits": published["bits"], "lst": lst}).hex() == published["cbor"]
    assert base64.urlsafe_b64encode(lst).rstrip(b"=").decode() == published["lst"]


def test_the_published_token_carries_the_claims_that_ours_carry() -> None:
    """It is not opened: its key id is not protected and its maps are in no order. Only ours are read."""
    content = bytes.fromhex(PUBLISHED["token"]["cwt"])
    protected, _, payload, _ = cbor2.loads(content).value
    assert cbor2.loads(protected) == {1: -7, 16: "application/statuslist+cwt"}
    claims = cbor2.loads(payload)
    assert claims.keys() == {2, 4, 6, 65533, 65534}
    assert lists.inflate(claims[65533]["lst"]) == b"\xb9\xa3"
    with pytest.raises(Refused):
        open_cwt(content)


@pytest.mark.parametrize("file", OURS, ids=lambda f: f.stem)
def test_every_vector_comes_out_as_it_says(file: Path) -> None:
    vector = json.loads(file.read_text("utf-8"))
    key = PublicKey(Algorithm(vector["key"]["alg"]), bytes.fromhex(vector["key"]["raw"]))
    step, expected = "open", vector["expected"]
    try:
        if vector["form"] == "jwt":
            opened: Any = open_jwt(vector["content"])
        elif vector["form"] == "cwt":
            opened = open_cwt(bytes.fromhex(vector["content"]))
        else:
            opened = open_delta(bytes.fromhex(vector["content"]))
        step = "verify"
        found = opened.verify(key)
        if vector["form"] == "delta":
            step = "apply"
            found = found.apply(open_cwt(bytes.fromhex(vector["base"])).verify(key))
        step = "read"
        statuses = {str(i): found.value(i) for i in vector["ask"]}
    except Refused as refusal:
        assert expected == {"result": "refused", "step": step, "code": str(refusal.code)}  # noqa: PT017
        return
    said = {
        "result": "list",
        **{
            name: getattr(found, name)
            for name in ("sub", "iat", "exp", "ttl", "release", "tree_size", "size")
        },
        "sha256": lists.digest(found.raw).hex(),
        "age": vector["clock"] - found.iat,
        "over": vector["clock"] >= found.exp,
        "statuses": statuses,
    }
    assert said == expected


@FIRST_ZLIB
def test_the_script_makes_the_vectors_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(VECTORS))
    from make_status import main  # noqa: PLC0415

    main(tmp_path)
    made = {f.name: f.read_text("utf-8") for f in tmp_path.glob("*.json")}
    assert made == {f.name: f.read_text("utf-8") for f in OURS}
    sys.modules.pop("make_status")
