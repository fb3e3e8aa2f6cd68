"""What can be written in a policy stands in docs/formats/policy.md, and nothing is promised there that is not read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kangma.policy import check as checks
from kangma.policy.expressions import FUNCTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "policy.md").read_text(encoding="utf-8")
BLOCKS = [block.split("```")[0] for block in PAGE.split("```toml\n")[1:]]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_documented(name):
    assert f"`{name}(" in PAGE


def test_every_key_outcome_action_and_door_word_is_documented():
    written = "\n".join(BLOCKS)
    for key in checks.TOP:
        assert key in written, key
    for key in (
        *checks._RULE_KEYS,
        "count",
        "apart_hours",
        "apart_on",
        "at",
        "action",
        "unchecked",
        "never_block",
    ):
        assert key in written, key
    for word in (*checks.ACTIONS, *checks.COLOURS, *checks.NOTICES, *checks.DAY_MODES, *checks.DOOR_WORDS):
        assert word in PAGE, word
    for fact, column in checks.AT.items():
        assert fact in PAGE, fact
        assert f"`{column}`" in PAGE, column


def test_the_examples_of_the_page_are_a_policy_that_passes_the_check():
    text = "".join(BLOCKS[:3]).replace("…", "x")
    rules = text.replace('then = "A-Y4"                      # the rule that follows\n', "")
    assert tomllib.loads(rules)
    shown = [str(p) for p in checks.check(rules)[1]]
    assert shown == []
