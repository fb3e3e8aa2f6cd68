"""The browser's verifier, run in Node: its own promises, and the vectors that Python made."""

from __future__ import annotations

import json
import time

import pytest
from web_built import NODE_TESTS, built, expected, node, vectors


@pytest.mark.parametrize("name", NODE_TESTS)
def test_what_web_promises_holds(name: str) -> None:
    done = node("--test", str(built(f"test/{name}")))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("wheel", [False, True], ids=["machine", "wheel"])
def test_node_says_of_every_vector_what_python_says(wheel: bool) -> None:
    all_of_them = vectors("verify")
    assert len(all_of_them) >= 100
    done = node(str(built("test/replay_all.mjs")), said=json.dumps(all_of_them), wheel=wheel)
    assert done.returncode == 0, done.stderr
    for vector, observed in zip(all_of_them, json.loads(done.stdout), strict=True):
        assert observed == expected(vector), vector["name"]


@pytest.mark.prove
def test_a_million_hostile_inputs_for_every_parser() -> None:
    seed = str(int(time.time()) % 2**31)
    done = node("--test", str(built("test/fuzz.test.mjs")), KANGMA_FUZZ="1000000", KANGMA_SEED=seed)
    assert done.returncode == 0, f"KANGMA_SEED={seed}\n{done.stdout}"
