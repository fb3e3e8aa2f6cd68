"""The worked example of docs/formats/log.md is what the code makes, byte by byte."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from made_log import ORIGIN, grown, signed, signer

from kangma.translog import entries, note, receipt, tiles, tree, witness
from kangma.translog.fsck import fsck

PAGE = (Path(__file__).parents[2] / "docs/formats/log.md").read_text("utf-8")
EXAMPLE = PAGE[PAGE.index("## A worked example") :]
HEX = "".join(re.findall(r"^(?:[0-9a-f]{2} ?)+$", EXAMPLE, re.M)).replace(" ", "")


def _shown(content: bytes) -> None:
    assert content.hex() in HEX


def test_the_worked_example_is_what_the_code_makes() -> None:
    salt = hashlib.sha256(b"a person's salt").digest()
    mine = entries.Turn(bytes(range(16)), 41, 0, 2, 0, 5, 0, 0)
    opening = entries.opening(salt, mine.release)
    three = [
        entries.event({"type": "key", "use": "status", "id": "74a1b2c3d4e5f607"}),
        entries.commitment(opening, mine.to_bytes()),
        entries.event({"type": "release", "number": 41, "turns": 1}),
    ]
    log, files = grown(three)
    for shown in (salt, opening, mine.to_bytes(), *files.values(), log.root, log.to_bytes(), *three):
        _shown(shown)
    for entry in three:
        _shown(tree.leaf_hash(entry))
    _shown(tree.node_hash(tree.leaf_hash(three[0]), tree.leaf_hash(three[1])))
    _shown(signer("log").public.raw)
    assert set(files) == set(re.findall(r"tile/\S+/000\.p/3", EXAMPLE))

    content = signed(log)
    keys, name = [signer("log").public], "north.example"
    line = witness.cosign(
        content, [], None, origin=ORIGIN, keys=keys, name=name, signer=signer(name), now=1_650_000_000
    ).line
    cosigned = note.with_lines(note.opened(content), note.parse_lines(line)).to_bytes()
    proof = tuple(tiles.inclusion(files.__getitem__, 1, 3))
    given = receipt.Receipt(opening, mine.to_bytes(), 1, proof, content).to_bytes()
    for text in (cosigned, given):
        assert f"```\n{text.decode()}```" in EXAMPLE
    for key in (note.Key(ORIGIN, keys[0]), witness.witness(name, signer(name).public)):
        assert f"`{key}`" in EXAMPLE
    found = witness.open_witnessed(
        cosigned, ORIGIN, keys, [witness.witness(name, signer(name).public)], need=1
    )
    assert fsck(files.__getitem__, found.checkpoint) is None


def test_the_page_names_every_event_and_every_limit() -> None:
    for kind in entries.EVENTS:
        assert f"`{kind}`" in PAGE
    for limit in (note.MAX_SIGNATURES, receipt.MAX_PATH, entries.MAX_DEPTH):
        assert str(limit) in PAGE
    for limit in (tiles.MAX_ENTRY, entries.MAX_PART, note.MAX_NOTE):
        assert f"{limit:,}" in PAGE
