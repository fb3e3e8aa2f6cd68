"""Writes tests/vectors/translog/*.json: one sound thing or one defect a file, with what every reader must find.

    python tests/vectors/make_translog.py [FOLDER]

Each file has `about` (a sentence), `check` (what to do with it: see docs/formats/log.md), `given` and `expect`.
Bytes are lower-case hex unless the format is text. What is expected of a defect is written here by hand; hashes come
from the plain definition in tests/translog/plain_tree.py, signatures from keys that follow from names.
"""

from __future__ import annotations

import hashlib
import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "translog"))

import plain_tree  # noqa: E402
from made_log import ORIGIN, grown, head, secret, signed, signer, turn, turns  # noqa: E402

from kangma.signing.keys import Algorithm  # noqa: E402
from kangma.translog import entries, note, receipt, tiles, witness  # noqa: E402
from kangma.translog.checkpoint import Checkpoint  # noqa: E402

NOW = 1_650_000_000
SEVEN = turns(7)
KEY = signer("log").public.raw.hex()
WITNESS = "north.example"
Vector = dict[str, Any]


def vector(about: str, check: str, given: Vector, expect: Vector) -> Vector:
    return {"about": about, "check": check, "given": given, "expect": expect}


def trees() -> dict[str, Vector]:
    leaves = plain_tree.LEAVES
    sizes = range(1, len(leaves) + 1)
    whole = vector(
        "The eight inputs of the reference tests of Certificate Transparency: roots, and all proofs between them.",
        "tree",
        {"leaves": [leaf.hex() for leaf in leaves]},
        {
            "empty": plain_tree.EMPTY,
            "roots": list(plain_tree.ROOTS),
            "inclusion": [
                {"index": m, "size": n, "proof": [h.hex() for h in plain_tree.path(m, leaves[:n])]}
                for n in sizes
                for m in range(n)
            ],
            "consistency": [
                {"old": m, "new": n, "proof": [h.hex() for h in plain_tree.proof(m, leaves[:n])]}
                for n in sizes
                for m in range(n + 1)
            ],
        },
    )
    found = {"tree-reference": whole}

    root = plain_tree.mth(SEVEN)
    sound = {
        "leaf_hash": plain_tree.sha256(b"\0" + SEVEN[2]).hex(),
        "index": 2,
        "size": 7,
        "proof": [h.hex() for h in plain_tree.path(2, SEVEN)],
        "root": root.hex(),
    }
    proof = sound["proof"]

    def inclusion(name: str, about: str, holds: bool = False, **change: Any) -> None:
        found[f"inclusion-{name}"] = vector(about, "inclusion", sound | change, {"verifies": holds})

    inclusion("sound", "Leaf 2 of 7.", True)
    inclusion(
        "only-leaf", "The only leaf needs no proof.", True, index=0, size=1, proof=[], root=sound["leaf_hash"]
    )
    inclusion("wrong-root", "The root of other entries.", root=plain_tree.mth(SEVEN[:6]).hex())
    inclusion("wrong-leaf", "The hash of another leaf.", leaf_hash=plain_tree.sha256(b"\0" + SEVEN[3]).hex())
    inclusion("wrong-index", "The proof of another place.", index=3)
    inclusion("wrong-size", "The proof in a tree of another height.", size=9)
    inclusion("index-outside", "A leaf that the tree does not have.", index=7)
    inclusion("index-negative", "A leaf before the first.", index=-1)
    inclusion("empty-tree", "The empty tree has no leaf.", index=0, size=0, proof=[])
    inclusion("changed-hash", "One bit of the proof is changed.", proof=[_flip(proof[0]), *proof[1:]])
    inclusion("missing-hash", "The last hash is missing.", proof=proof[:-1])
    inclusion("further-hash", "A hash too many.", proof=[*proof, root.hex()])
    inclusion("swapped-hashes", "Two hashes in each other's place.", proof=[proof[1], proof[0], *proof[2:]])
    pair = plain_tree.mth(SEVEN[:2]).hex()
    first, second = (plain_tree.sha256(b"\0" + entry).hex() for entry in SEVEN[:2])
    inclusion(
        "tree-too-small",
        "Leaf 1 of 2 as the only leaf.",
        leaf_hash=second,
        index=0,
        size=1,
        proof=[first],
        root=pair,
    )
    inclusion("short-hash", "A hash of 31 bytes.", proof=[proof[0][2:], *proof[1:]])
    inclusion(
        "moved-byte", "A byte moved from the leaf to the hash beside it: what is hashed stays the same.",
        leaf_hash=sound["leaf_hash"][:-2], proof=[sound["leaf_hash"][-2:] + proof[0], *proof[1:]],
    )  # fmt: skip

    sound = {
        "old_size": 3,
        "old_root": plain_tree.mth(SEVEN[:3]).hex(),
        "new_size": 7,
        "new_root": root.hex(),
        "proof": [h.hex() for h in plain_tree.proof(3, SEVEN)],
    }
    bridge = sound["proof"]
    forked = [*SEVEN[:1], turn(99), *SEVEN[2:]]

    def consistency(name: str, about: str, holds: bool = False, **change: Any) -> None:
        found[f"consistency-{name}"] = vector(about, "consistency", sound | change, {"verifies": holds})

    consistency("sound", "7 entries extend the first 3.", True)
    consistency(
        "complete", "From a complete tree, whose root is not repeated in the proof.", True,
        old_size=4, old_root=plain_tree.mth(SEVEN[:4]).hex(), proof=[h.hex() for h in plain_tree.proof(4, SEVEN)],
    )  # fmt: skip
    consistency(
        "same", "A tree extends itself, without a proof.", True, old_size=7, old_root=root.hex(), proof=[]
    )
    consistency(
        "from-empty",
        "Every tree extends the empty one.",
        True,
        old_size=0,
        old_root=plain_tree.EMPTY,
        proof=[],
    )
    consistency("from-empty-other-root", "The empty tree has one root only.", old_size=0, proof=[])
    consistency(
        "from-empty-with-proof",
        "Nothing is proved from the empty tree.",
        old_size=0,
        old_root=plain_tree.EMPTY,
    )
    consistency("same-with-proof", "Between equal sizes the proof is empty.", old_size=7, old_root=root.hex())
    consistency(
        "same-size-fork",
        "Two trees of one size.",
        old_size=7,
        old_root=plain_tree.mth(forked).hex(),
        proof=[],
    )
    consistency(
        "fork", "An early entry was exchanged; the proof is that of the other tree.",
        new_root=plain_tree.mth(forked).hex(), proof=[h.hex() for h in plain_tree.proof(3, forked)],
    )  # fmt: skip
    consistency(
        "backwards", "A tree does not shrink.",
        old_size=7, old_root=root.hex(), new_size=3, new_root=sound["old_root"],
    )  # fmt: skip
    eight = turns(8)
    consistency(
        "tree-too-small", "From 7 to 8 as from 3 to 4.", old_size=3, old_root=root.hex(), new_size=4,
        new_root=plain_tree.mth(eight).hex(), proof=[h.hex() for h in plain_tree.proof(7, eight)],
    )  # fmt: skip
    consistency("empty-proof", "No proof at all.", proof=[])
    consistency("wrong-old-root", "Another old root.", old_root=plain_tree.mth(forked[:3]).hex())
    consistency("changed-hash", "One bit of the proof is changed.", proof=[_flip(bridge[0]), *bridge[1:]])
    consistency("missing-hash", "The last hash is missing.", proof=bridge[:-1])
    consistency("further-hash", "A hash too many.", proof=[*bridge, root.hex()])
    return found


def _flip(text: str) -> str:
    return f"{int(text[:2], 16) ^ 0x10:02x}{text[2:]}"


def notes() -> dict[str, Vector]:
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    keys = [
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
    ]
    peter = (
        "— PeterNeumann "
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    enoch = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
    found: dict[str, Vector] = {}

    def one(name: str, about: str, given: str | bytes, known: list[str], **expect: Any) -> None:
        form = {"note": given} if isinstance(given, str) else {"note_hex": given.hex()}
        found[f"note-{name}"] = vector(about, "note", form | {"keys": known}, expect)

    whole = f"{text}\n{peter}{enoch}"
    one("published", "Two signatures, one key known.", whole, keys[:1], text=text, signed_by=["PeterNeumann"])
    one(
        "both-known",
        "Two signatures, both known.",
        whole,
        keys,
        text=text,
        signed_by=["PeterNeumann", "EnochRoot"],
    )
    one("unknown-key", "Nobody who signed is known.", f"{text}\n{enoch}", keys[:1], refused="unknown_key")
    wrong = whole.replace("answer", "Answer")
    one("changed-text", "The text was changed after it was signed.", wrong, keys, refused="bad_signature")
    wrong = whole.replace("rwz+eBz", "rwz+eBy")
    one("one-bad-of-two", "One good signature does not save a bad one.", wrong, keys, refused="bad_signature")
    wrong = whole.replace("rwz+eBz", "rwz+eBy")
    one("bad-of-unknown", "A bad signature of an unknown key is passed over.", wrong, keys[:1],
        text=text, signed_by=["PeterNeumann"])  # fmt: skip
    one("no-signature", "A text and an empty line.", f"{text}\n", keys, refused="bad_message")
    one("no-empty-line", "A text alone.", text, keys, refused="bad_message")
    one("no-last-newline", "The last line has no end.", whole[:-1], keys, refused="bad_message")
    one("hyphen", "A hyphen where a dash belongs.", whole.replace("—", "-"), keys, refused="bad_message")
    one(
        "space-in-name",
        "A wide space in a name.",
        whole.replace("Enoch", "Enoch\u3000"),
        keys,
        refused="bad_message",
    )
    one(
        "plus-in-name",
        "A plus in a name.",
        whole.replace("Enoch", "Enoch+"),
        keys,
        refused="bad_message",
    )
    one(
        "loose-base64",
        "The same bytes in another spelling.",
        whole.replace("nAM=", "nAN="),
        keys,
        refused="bad_message",
    )
    one("unpadded-base64", "No padding.", whole.replace("nAM=", "nAM"), keys, refused="bad_message")
    one(
        "carriage-return",
        "Lines end with a newline alone.",
        whole.replace("\n", "\r\n"),
        keys,
        refused="bad_message",
    )
    one("control", "A control character.", "\x01" + whole, keys, refused="bad_message")
    one("not-utf8", "Bytes that are no UTF-8.", b"\xff" + whole.encode(), keys, refused="not_utf8")
    many = f"{text}\n" + "".join(f"— n{i} {b64encode(bytes(5)).decode()}\n" for i in range(101))
    one("too-many-lines", "More than a hundred signatures.", many, keys, refused="bad_message")
    return found


def checkpoints() -> dict[str, Vector]:
    log, _ = grown(SEVEN)
    content = signed(log).decode()
    found: dict[str, Vector] = {}

    def one(name: str, about: str, content: str, expect: Vector, **change: Any) -> None:
        given = {"note": content, "origin": ORIGIN, "keys": [KEY]} | change
        found[f"checkpoint-{name}"] = vector(about, "checkpoint", given, expect)

    def of(text: str) -> str:
        return note.sign(text, (ORIGIN, signer("log"))).to_bytes().decode()

    root = b64encode(log.root).decode()
    is_head = {"size": 7, "root": log.root.hex()}
    one("sound", "Seven entries.", content, is_head)
    one("empty", "The empty log.", signed(grown([])[0]).decode(), {"size": 0, "root": plain_tree.EMPTY})
    one(
        "rotated",
        "Signed by the older of two keys.",
        content,
        is_head,
        keys=[signer("next").public.raw.hex(), KEY],
    )
    one(
        "extension", "A further line is signed with the rest.", of(f"{ORIGIN}\n7\n{root}\nfurther\n"), is_head
    )
    unknown = {"refused": "unknown_key"}
    one("unknown-key", "Signed by a stranger.", signed(log, "thief").decode(), unknown)
    one("other-origin", "The head of another log.", content, unknown, origin="log.example/other")
    one(
        "other-text",
        "The right key under a text of another log.",
        of(f"log.example/other\n7\n{root}\n"),
        unknown,
    )
    one(
        "changed-size",
        "The size was changed.",
        content.replace("\n7\n", "\n8\n"),
        {"refused": "bad_signature"},
    )
    wrong = of(head(grown(SEVEN[:6])[0]).text).replace("\n6\n", "\n7\n")
    one("wrong-root", "Another tree's root under an old signature.", wrong, {"refused": "bad_signature"})
    form = {"refused": "bad_message"}
    one("two-lines", "No root.", of(f"{ORIGIN}\n7\n"), form)
    one("leading-zero", "A size has one spelling.", of(f"{ORIGIN}\n07\n{root}\n"), form)
    one("sign", "A size has no sign.", of(f"{ORIGIN}\n+7\n{root}\n"), form)
    one("huge", "A size beyond 2^62.", of(f"{ORIGIN}\n{1 << 62}\n{root}\n"), form)
    one("short-root", "A root of 31 bytes.", of(f"{ORIGIN}\n7\n{b64encode(log.root[1:]).decode()}\n"), form)
    one("empty-other-root", "The empty log with a root of its own.", of(f"{ORIGIN}\n0\n{root}\n"), form)
    one("empty-extension", "A further line that is empty.", of(f"{ORIGIN}\n7\n{root}\n\n"), form)
    return found


def witnesses() -> dict[str, Vector]:
    log, _ = grown(SEVEN)
    names = [WITNESS, "south.example"]
    known = [str(witness.witness(name, signer(name).public)) for name in names]
    content = signed(log)
    lines = []
    for number, name in enumerate(names):
        answer = witness.cosign(
            content, [], None, origin=ORIGIN, keys=[signer("log").public], name=name, signer=signer(name),
            now=NOW + number,
        )  # fmt: skip
        lines.append(answer.line.decode())
    found: dict[str, Vector] = {}

    def one(name: str, about: str, lines: str, expect: Vector, **change: Any) -> None:
        given = {
            "note": content.decode() + lines, "origin": ORIGIN, "keys": [KEY], "witnesses": known, "need": 2,
            "now": NOW + 60,
        }  # fmt: skip
        found[f"witnessed-{name}"] = vector(about, "witnessed", given | change, expect)

    both = "".join(lines)
    seen = {"size": 7, "root": log.root.hex(), "seen": {names[0]: NOW, names[1]: NOW + 1}}
    one("two-of-two", "Both saw it.", both, seen)
    one("one-of-two", "One is not enough.", lines[0], {"refused": "few_witnesses"})
    one(
        "stranger",
        "A second one whom we do not know.",
        both,
        {"refused": "few_witnesses"},
        witnesses=known[:1],
    )
    one("later-than-now", "One signed in our future.", both, {"refused": "few_witnesses"}, now=NOW)
    one("repeated", "One witness, its line twice.", lines[0] * 2, {"refused": "few_witnesses"})
    wrong = note.parse_lines(lines[1].encode())[0]
    bad = note.Line(wrong.name, wrong.id, (NOW + 2).to_bytes(8, "big") + wrong.signature[8:])
    one("changed-time", "The time was changed.", lines[0] + str(bad), {"refused": "bad_signature"})
    bad = note.Line(wrong.name, wrong.id, wrong.signature[8:])
    one("no-time", "A signature without its time.", lines[0] + str(bad), {"refused": "bad_signature"})
    one("log-key", "The log's own key is no witness.", both, {"refused": "few_witnesses"},
        witnesses=[known[0], str(witness.witness("log.example/other", signer("log").public))])  # fmt: skip

    three = plain_tree.mth(SEVEN[:3])
    proof = [h.hex() for h in plain_tree.proof(3, SEVEN)]
    forked = [*SEVEN[:1], turn(99), *SEVEN[2:]]

    def ask(name: str, about: str, expect: Vector, **change: Any) -> None:
        given = {
            "note": content.decode(), "proof": proof, "seen": {"size": 3, "root": three.hex()}, "origin": ORIGIN,
            "keys": [KEY], "name": WITNESS, "secret": secret(WITNESS).hex(), "now": NOW,
        }  # fmt: skip
        found[f"cosign-{name}"] = vector(about, "cosign", given | change, expect)

    ask("sound", "Seven entries extend the three that were seen.", {"line": lines[0]})
    ask("first", "Nothing was seen yet.", {"line": lines[0]}, seen=None, proof=[])
    same = {"size": 7, "root": log.root.hex()}
    ask("same", "The same once more.", {"line": lines[0]}, seen=same, proof=[])
    ask("no-proof", "No proof.", {"refused": "bad_proof"}, proof=[])
    ask("fork", "Another history was seen.", {"refused": "bad_proof"},
        seen={"size": 3, "root": plain_tree.mth(forked[:3]).hex()})  # fmt: skip
    ask("same-size-fork", "Another tree of the same size was seen.", {"refused": "bad_proof"},
        seen={"size": 7, "root": plain_tree.mth(forked).hex()}, proof=[])  # fmt: skip
    ask("rolled-back", "More was seen.", {"refused": "rolled_back"},
        seen={"size": 8, "root": plain_tree.mth(turns(8)).hex()}, proof=[])  # fmt: skip
    ask(
        "unknown-log", "Signed by a stranger.", {"refused": "unknown_key"}, note=signed(log, "thief").decode()
    )
    return found


def folders() -> dict[str, Vector]:
    found: dict[str, Vector] = {}

    def one(
        name: str, about: str, entries_: list[bytes], fault: str | None, change: dict[str, bytes | None]
    ) -> None:
        log, files = grown(entries_)
        there = {k: v.hex() for k, v in (files | change).items() if v is not None}
        given = {"origin": ORIGIN, "size": log.size, "root": log.root.hex(), "files": there}
        found[f"fsck-{name}"] = vector(about, "fsck", given, {"fault": fault})

    _, files = grown(SEVEN)
    bundle, tile = "tile/entries/000.p/7", "tile/0/000.p/7"
    one("sound", "Seven entries.", SEVEN, None, {})
    one("sound-300", "300 entries: one full tile, one partial, one hash above.", turns(300), None, {})
    one("empty", "The empty log has no files.", [], None, {})
    one(
        "changed-entry",
        "An entry was exchanged.",
        SEVEN,
        bundle,
        {bundle: files[bundle].replace(turn(3), turn(99))},
    )
    other = files[tile][:32] + files[tile][:32] + files[tile][64:]
    one("changed-tile", "A hash was exchanged.", SEVEN, tile, {tile: other})
    one("truncated-tile", "A tile lacks its last byte.", SEVEN, tile, {tile: files[tile][:-1]})
    one("truncated-bundle", "A bundle lacks its last byte.", SEVEN, bundle, {bundle: files[bundle][:-1]})
    one("longer-bundle", "A bundle has a byte too many.", SEVEN, bundle, {bundle: files[bundle] + b"\0"})
    one("missing-tile", "A tile is not there.", SEVEN, tile, {tile: None})
    one("missing-bundle", "A bundle is not there.", SEVEN, bundle, {bundle: None})
    forked = [*SEVEN[:3], turn(99), *SEVEN[4:]]
    one(
        "fork",
        "Entry and tile agree with each other and not with the head.",
        SEVEN,
        "checkpoint",
        grown(forked)[1],
    )
    swapped = [SEVEN[1], SEVEN[0], *SEVEN[2:]]
    one("swapped", "Two entries in each other's place.", SEVEN, "checkpoint", grown(swapped)[1])
    return found


def contents() -> dict[str, Vector]:
    salt = hashlib.sha256(b"a person's salt").digest()
    mine = entries.Turn(bytes(range(16)), 41, 0, 2, 0, 5, 0, 0)
    opening = plain_tree.sha256(salt + (41).to_bytes(8, "big"))
    raw = bytes(range(16)) + (41).to_bytes(8, "big") + bytes([0, 2]) + bytes(7) + b"\5" + bytes(8)
    entry = b"\1" + plain_tree.sha256(opening + raw)
    fields = {
        "person": mine.person.hex(), "release": 41, "from_state": 0, "to_state": 2, "from_popups": 0,
        "to_popups": 5, "from_reminds": 0, "to_reminds": 0,
    }  # fmt: skip
    opened = {"opening": opening.hex(), "turn": raw.hex(), "entry": entry.hex()}
    found = {
        "turn": vector(
            "Release 41: a person who was green is shown two notices.",
            "turn",
            {"salt": salt.hex(), "turn": fields},
            opened,
        )
    }

    def one(name: str, about: str, entry: bytes, expect: Vector) -> None:
        found[f"entry-{name}"] = vector(about, "entry", {"entry": entry.hex()}, expect)

    def event(name: str, about: str, text: str, code: str = "bad_message") -> None:
        one(name, about, b"\2" + text.encode(), {"refused": code})

    one("commitment", "A turn, for everybody else.", entry, {"commitment": entry[1:].hex()})
    content = {
        "type": "release",
        "number": 41,
        "turns": 3,
        "note": "第41次\n",
        "lists": [{"day": 19_113, "n": 0}],
    }
    text = '{"lists":[{"day":19113,"n":0}],"note":"第41次\\n","number":41,"turns":3,"type":"release"}'
    one("event", "A release.", b"\2" + text.encode(), {"event": content})
    one("short-commitment", "31 bytes.", entry[:-1], {"refused": "bad_message"})
    one("unknown-kind", "Another first byte.", b"\3" + entry[1:], {"refused": "unsupported_message"})
    one("empty", "No bytes.", b"", {"refused": "unsupported_message"})
    one("not-utf8", "Not UTF-8.", b'\2{"type":"act\xff"}', {"refused": "bad_message"})
    event(
        "unknown-type", "A type of event that is not in the list.", '{"type":"gossip"}', "unsupported_message"
    )
    event("unsorted", "Keys in another order.", '{"type":"act","n":1}')
    event("space", "White space.", '{"n": 1,"type":"act"}')
    event("duplicate-key", "A key twice.", '{"n":1,"n":1,"type":"act"}')
    event("fraction", "A number that is not whole.", '{"n":1.0,"type":"act"}')
    event("exponent", "A number with an exponent.", '{"n":1e3,"type":"act"}')
    event("negative-zero", "Minus nothing.", '{"n":-0,"type":"act"}')
    event("large-number", "2^53: not every reader has it.", '{"n":9007199254740992,"type":"act"}')
    event("boolean", "true is no number.", '{"n":true,"type":"act"}')
    event("null", "What is not there is left out.", '{"n":null,"type":"act"}')
    event("escaped", "A letter written as its number.", '{"n":"\\u0041","type":"act"}')
    event("key-not-ascii", "Keys are ASCII.", '{"é":1,"type":"act"}')
    event("too-deep", "Nine levels.", '{"a":' + "[" * 9 + "]" * 9 + ',"type":"act"}')
    event("not-an-object", "A list.", '["act"]')
    event("trailing", "Something behind it.", '{"type":"act"}{}')

    others = turns(6)
    log, files = grown([*others[:4], entry, *others[4:]])
    proof = tuple(tiles.inclusion(files.__getitem__, 4, 7))
    given = receipt.Receipt(opening, raw, 4, proof, signed(log)).to_bytes().decode()

    def paper(name: str, about: str, content: str, expect: Vector) -> None:
        about_log = {"origin": ORIGIN, "keys": [KEY]}
        found[f"receipt-{name}"] = vector(about, "receipt", about_log | {"receipt": content}, expect)

    paper("sound", "What the person is given.", given, {"index": 4, "size": 7, "turn": fields})
    paper("wrong-index", "Another place.", given.replace("index 4", "index 5"), {"refused": "bad_proof"})
    other = b64encode(opening + raw[:25] + b"\4" + raw[26:]).decode()
    paper("other-turn", "Red, where the log holds notices.",
          given.replace(b64encode(opening + raw).decode(), other), {"refused": "bad_proof"})  # fmt: skip
    cut = given.replace(b64encode(proof[1]).decode() + "\n", "")
    paper("missing-hash", "A line of the proof is missing.", cut, {"refused": "bad_proof"})
    paper(
        "no-extra", "A proof without opening and turn.", _without(given, "extra"), {"refused": "bad_message"}
    )
    paper(
        "changed-head", "The head was changed.", given.replace("\n7\n", "\n8\n"), {"refused": "bad_signature"}
    )
    return found


def _without(text: str, word: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(word))


def made() -> dict[str, str]:
    """File name → content."""
    assert Checkpoint(ORIGIN, 7, plain_tree.mth(SEVEN)) == head(grown(SEVEN)[0])
    assert signer("log").public.algorithm is Algorithm.EDDSA
    vectors = trees() | notes() | checkpoints() | witnesses() | folders() | contents()
    return {
        f"{name}.json": json.dumps(one, indent=1, ensure_ascii=False) + "\n"
        for name, one in sorted(vectors.items())
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "translog"
    folder.mkdir(exist_ok=True)
    files = made()
    for stale in {file.name for file in folder.glob("*.json")} - files.keys():
        (folder / stale).unlink()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
