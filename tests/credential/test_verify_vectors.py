"""The language-neutral vectors: ours reads them as written, and they are complete."""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from at_the_door import VECTORS, world

from kangma.credential.outcome import Outcome, Reason

FILES = sorted((VECTORS / "verify").glob("*.json"))
DOCS = Path(__file__).parents[2] / "docs/formats/verifier.md"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_vector_ends_as_it_says(file: Path) -> None:
    said = json.loads(file.read_text("utf-8"))
    assert said["name"] == file.stem
    assert world.run(said) == said["expected"]
    assert world.layers(said["text"]) == said["layers"]


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="another deflate finds other matches")
def test_the_script_makes_the_verify_vectors_that_are_here() -> None:
    assert world.files() == {f.name: f.read_text("utf-8") for f in FILES}


def test_a_vector_is_named_for_what_is_wrong_and_every_reason_has_one() -> None:
    reasons: Counter[str] = Counter()
    for file in FILES:
        expected = json.loads(file.read_text("utf-8"))["expected"]
        if expected["reason"] is not None:
            assert file.stem.startswith(expected["reason"]), file.stem
            assert expected["step"] == Reason(expected["reason"]).step
            assert expected["colour"] is None
            reasons[expected["reason"]] += 1
    assert set(reasons) == {r.value for r in Reason}


def test_good_vectors_show_every_colour_on_phone_and_paper() -> None:
    shown = {
        (e["kind"], e["colour"])
        for f in FILES
        if (e := json.loads(f.read_text("utf-8"))["expected"])["outcome"] == "verified"
    }
    assert {(k, c) for k in ("phone", "paper") for c in ("green", "notice", "yellow", "red")} <= shown
    assert ("proxy", "green") in shown


def test_reasons_are_in_the_order_of_the_steps_and_each_step_has_one() -> None:
    steps = [r.step for r in Reason]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 10))
    for reason in Reason:
        assert reason.outcome in (Outcome.REFUSED, Outcome.NOT_VERIFIED)


def test_the_document_lists_the_same_reasons_steps_and_outcomes() -> None:
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| (refused|not verified) \|", DOCS.read_text("utf-8"), re.M)
    assert rows == [(str(r.step), r.value, r.outcome.value.replace("_", " ")) for r in Reason]


def test_the_vectors_script_writes_nothing_but_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "FOLDER", tmp_path / "verify")
    monkeypatch.setattr(sys.stdout, "write", lambda _: 0)
    world.main()
    assert len(list((tmp_path / "verify").iterdir())) == len(FILES)
