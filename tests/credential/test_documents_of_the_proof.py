"""The examples in docs/formats are the vectors, byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

from at_the_door import VECTORS, world

from kangma.credential import text

FORMATS = Path(__file__).parents[2] / "docs/formats"


def blocks(page: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```", (FORMATS / page).read_text("utf-8"), re.M | re.S)


def test_the_example_of_a_credential_is_the_vector() -> None:
    said = json.loads((VECTORS / "verify/paper_green.json").read_text("utf-8"))
    found = blocks("credential.md")
    assert found[-2].strip().replace("\n", " ") == said["text"]
    hexes = [
        re.match(r" *((?:[0-9a-f]{1,128} ?)+?)(?: {2,}|$| \S*\")", line) for line in found[-1].splitlines()
    ]
    written = "".join(h[1] if h else "" for h in hexes)
    for quoted in ("iss", "exp", "iat"):
        assert quoted not in written
    assert written.replace(" ", "") == said["layers"]["sign1"]
    assert len(said["layers"]["sign1"]) // 2 == 191


def test_the_dictionary_in_the_document_is_the_one_in_use() -> None:
    (found,) = [b for b in blocks("credential.md") if b.startswith("19ffff")]
    assert bytes.fromhex(found) == text.DICTIONARY
    stored = b"\0" + (106).to_bytes(2, "little") + (106 ^ 0xFFFF).to_bytes(2, "little")
    assert stored.hex(" ") == "00 6a 00 95 ff"


def test_the_worked_example_of_the_verifier_is_the_vector() -> None:
    said = json.loads((VECTORS / "verify/phone_green.json").read_text("utf-8"))
    page = (FORMATS / "verifier.md").read_text("utf-8")
    layers = said["layers"]
    facts = {
        "now": said["now"],
        "characters": len(said["text"]),
        "content": len(layers["content"]) // 2,
        "credential": len(layers["sign1"]) // 2,
        "key": layers["key_id"],
        "step": layers["step"]["step"],
        "digest": layers["step"]["signed"][-64:][:8],
        "list": world.LISTS_AT,
        "age": said["expected"]["lists_age"],
    }
    example = page[page.index("## Worked example") :]
    assert [name for name, fact in facts.items() if str(fact) not in example] == []
