"""The cases that every language runs: their files are what the script makes, and each ends as it says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kangma.errors import Refused
from kangma.signing.trust import decode_root, open_trust, successor

SCRIPT = Path(__file__).parents[1] / "vectors/make_trust.py"
FILES = sorted((SCRIPT.parent / "trust").glob("*.json"))


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_trust", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """What we say to a case, in its own words."""
    try:
        root = decode_root(bytes.fromhex(case["root"]))
        trust = open_trust(bytes.fromhex(case["list"])).verify(root, at_least=case.get("at_least", 1))
        if "before" in case:
            before = open_trust(bytes.fromhex(case["before"])).verify(root)
            seen = {bytes.fromhex(k) for k in case.get("seen", [])}
            successor(before, trust, now=case.get("now"), seen=seen)
    except Refused as problem:
        return {"refused": str(problem.code)}
    says: dict[str, Any] = _script()._says(trust)
    return says


def test_the_files_are_what_the_script_makes() -> None:
    script = _script()
    made = {name: script.text(case) for name, case in script.vectors().items()}
    there = {f.stem: f.read_text("utf-8") for f in FILES}
    assert there == made, "python tests/vectors/make_trust.py writes them anew"
    assert len(made) >= 60


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_case_ends_as_it_says(file: Path) -> None:
    case = json.loads(file.read_text("utf-8"))
    assert outcome(case) == case["expect"]


def test_the_worked_example_of_the_format_is_the_first_vector() -> None:
    page = (SCRIPT.parents[2] / "docs/formats/trust.md").read_text("utf-8")
    case = json.loads((SCRIPT.parent / "trust/ok-first.json").read_text("utf-8"))
    content = case["root"] + case["list"]
    example = page[page.index("## Worked example") : page.index("## Vectors")]
    found = re.findall(r"\b(?:[0-9a-f]{2}){4,}\b", example)
    assert len(found) >= 30
    fingerprint = hashlib.sha256(bytes.fromhex(case["root"])).hexdigest()
    assert [h for h in found if h not in content and h != fingerprint] == []
