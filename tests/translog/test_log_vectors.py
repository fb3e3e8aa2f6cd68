"""The vectors in tests/vectors/translog, which every implementation runs: each finds what it says."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kangma.errors import Refused
from kangma.signing.keys import Algorithm, Environment, KeySigner, PublicKey
from kangma.translog import entries, note, receipt, tiles, tree, witness
from kangma.translog.checkpoint import Checkpoint, open_checkpoint
from kangma.translog.fsck import fsck
from kangma.translog.log import Log

HERE = Path(__file__).parents[1] / "vectors"
FILES = sorted((HERE / "translog").glob("*.json"))
Given = dict[str, Any]


def _bytes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _keys(given: Given) -> list[PublicKey]:
    return [PublicKey(Algorithm.EDDSA, raw) for raw in _bytes(given["keys"])]


def _tree(given: Given) -> Given:
    leaves = _bytes(given["leaves"])
    log, files = Log.EMPTY.append(leaves)
    for size in range(1, log.size):
        files |= Log.EMPTY.append(leaves[:size])[1]
    read, sizes = files.__getitem__, range(1, log.size + 1)
    return {
        "empty": Log.EMPTY.root.hex(),
        "roots": [tiles.root(read, size).hex() for size in sizes],
        "inclusion": [
            {"index": m, "size": n, "proof": [h.hex() for h in tiles.inclusion(read, m, n)]}
            for n in sizes
            for m in range(n)
        ],
        "consistency": [
            {"old": m, "new": n, "proof": [h.hex() for h in tiles.consistency(read, m, n)]}
            for n in sizes
            for m in range(n + 1)
        ],
    }


def _inclusion(given: Given) -> Given:
    leaf, root = bytes.fromhex(given["leaf_hash"]), bytes.fromhex(given["root"])
    proof = _bytes(given["proof"])
    return {"verifies": tree.verify_inclusion(leaf, given["index"], given["size"], proof, root)}


def _consistency(given: Given) -> Given:
    old, new = bytes.fromhex(given["old_root"]), bytes.fromhex(given["new_root"])
    proof = _bytes(given["proof"])
    return {"verifies": tree.verify_consistency(given["old_size"], old, given["new_size"], new, proof)}


def _note(given: Given) -> Given:
    content = given["note"].encode() if "note" in given else bytes.fromhex(given["note_hex"])
    opened = note.opened(content)
    signed_by = opened.verified([note.Key.parse(key) for key in given["keys"]])
    return {"text": opened.text, "signed_by": [key.name for key in signed_by]}


def _checkpoint(given: Given) -> Given:
    found = open_checkpoint(given["note"].encode(), given["origin"], *_keys(given))
    return {"size": found.size, "root": found.root.hex()}


def _witnessed(given: Given) -> Given:
    known = [note.Key.parse(key) for key in given["witnesses"]]
    found = witness.open_witnessed(
        given["note"].encode(), given["origin"], _keys(given), known, need=given["need"], now=given["now"]
    )
    head = found.checkpoint
    return {
        "size": head.size,
        "root": head.root.hex(),
        "seen": {key.name: at for key, at in found.seen.items()},
    }


def _cosign(given: Given) -> Given:
    seen = given["seen"] and Checkpoint(
        given["origin"], given["seen"]["size"], bytes.fromhex(given["seen"]["root"])
    )
    answer = witness.cosign(
        given["note"].encode(),
        _bytes(given["proof"]),
        seen,
        origin=given["origin"],
        keys=_keys(given),
        name=given["name"],
        signer=KeySigner(Algorithm.EDDSA, bytes.fromhex(given["secret"]), Environment.TEST),
        now=given["now"],
    )
    return {"line": answer.line.decode()}


def _fsck(given: Given) -> Given:
    files = {name: bytes.fromhex(content) for name, content in given["files"].items()}
    top = Checkpoint(given["origin"], given["size"], bytes.fromhex(given["root"]))
    fault = fsck(files.__getitem__, top, files)
    return {"fault": fault and fault.path}


def _entry(given: Given) -> Given:
    found = entries.parse(bytes.fromhex(given["entry"]))
    if isinstance(found, entries.Commitment):
        return {"commitment": found.digest.hex()}
    assert entries.event(found.content).hex() == given["entry"]
    return {"event": found.content}


def _turn(given: Given) -> Given:
    mine = entries.Turn(**given["turn"] | {"person": bytes.fromhex(given["turn"]["person"])})
    opening = entries.opening(bytes.fromhex(given["salt"]), mine.release)
    entry = entries.commitment(opening, mine.to_bytes())
    return {"opening": opening.hex(), "turn": mine.to_bytes().hex(), "entry": entry.hex()}


def _receipt(given: Given) -> Given:
    found = receipt.parse(given["receipt"].encode())
    mine, head = found.verify(given["origin"], _keys(given))
    return {"index": found.index, "size": head.size, "turn": asdict(mine) | {"person": mine.person.hex()}}


CHECKS: dict[str, Callable[[Given], Given]] = {
    "tree": _tree,
    "inclusion": _inclusion,
    "consistency": _consistency,
    "note": _note,
    "checkpoint": _checkpoint,
    "witnessed": _witnessed,
    "cosign": _cosign,
    "fsck": _fsck,
    "entry": _entry,
    "turn": _turn,
    "receipt": _receipt,
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_vector_is_found_to_be_what_it_says(file: Path) -> None:
    vector = json.loads(file.read_text("utf-8"))
    assert vector.keys() == {"about", "check", "given", "expect"}
    try:
        found = CHECKS[vector["check"]](vector["given"])
    except Refused as refused:
        found = {"refused": str(refused.code)}
    assert found == vector["expect"]


def test_the_vectors_are_what_their_script_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_translog", HERE / "make_translog.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert {file.name: file.read_text("utf-8") for file in FILES} == script.made()


def test_every_check_has_vectors_and_every_refusal_of_the_log_has_one() -> None:
    vectors = [json.loads(file.read_text("utf-8")) for file in FILES]
    assert {vector["check"] for vector in vectors} == CHECKS.keys()
    assert {vector["expect"].get("refused") for vector in vectors} >= {
        "unknown_key",
        "bad_signature",
        "bad_proof",
        "rolled_back",
        "few_witnesses",
        "bad_message",
        "unsupported_message",
        "not_utf8",
    }
