"""The pages as `make web` built them, and Node to run their tests with."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIST = ROOT / "web" / "dist"
NODE_TESTS = tuple(sorted(p.name.replace(".ts", ".mjs") for p in (ROOT / "web" / "test").glob("*.test.ts")))


def built(name: str) -> Path:
    """That file of web/dist. AssertionError when nobody has built it."""
    file = DIST / name
    assert file.exists(), f"{file} is missing: make web"
    return file


def node(
    *arguments: str, said: str = "", wheel: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Node with these arguments: the machine's where it is new enough, or the one that Python's lock file brings."""
    return subprocess.run(
        [str(ROOT / "web" / "node.sh"), "node", *arguments],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env, **({"KANGMA_NODE_WHEEL": "1"} if wheel else {})},
    )


def vectors(folder: str) -> list[dict[str, Any]]:
    """All vectors of tests/vectors/<folder>, by name."""
    files = sorted((ROOT / "tests" / "vectors" / folder).glob("*.json"))
    return [{"name": f.stem, **json.loads(f.read_text("utf-8"))} for f in files]


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    """What a verifier makes of a vector of verify/."""
    return {name: vector[name] for name in ("root_fingerprint", "layers", "expected")}
