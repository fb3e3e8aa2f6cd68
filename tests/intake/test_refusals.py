"""Every code that a refusal may carry is documented, every documented code exists, and each can be produced."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from kangma.errors import Code

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "refusals.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z0-9_]+)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


def codes_named_in(folder: Path) -> set[str]:
    """Codes that Python files name as `Code.X`, comments and texts left out."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "Code"
            ):
                found.add(Code[node.attr].value)
    return found


def test_the_page_explains_every_code_once_and_no_other() -> None:
    assert sorted(code for code, _, _ in ROWS) == sorted(str(c) for c in Code)


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code, meaning, remedy in ROWS:
        assert len(meaning) > 10, code
        assert len(remedy) > 10, code


def test_no_code_is_dead() -> None:
    assert codes_named_in(ROOT / "src" / "kangma") == {str(c) for c in Code}


def test_every_code_that_intake_raises_is_produced_by_a_test() -> None:
    raised = codes_named_in(ROOT / "src" / "kangma" / "intake")
    tests = "".join(
        p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py") if p != Path(__file__)
    )
    missing = {c for c in raised if f'"{c}"' not in tests and f"Code.{c.upper()}" not in tests}
    assert not missing
