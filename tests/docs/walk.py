"""Runs what docs/walk.md shows: writes the tables that it prints, calls the commands, and puts their output in place.

`python tests/docs/walk.py` writes the page anew; the test compares.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from kangma.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "walk.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)


def walked(text: str, folder: Path) -> str:
    """The page with the output of every command as it is now, when they are run in `folder`."""

    def block(found: re.Match[str]) -> str:
        kind, name, body = found.groups()
        if kind == "csv":
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
            return found[0]
        if kind != "console":
            return found[0]
        commands = [line for line in body.splitlines() if line.startswith("$ kangma ")]
        return "```console\n" + "".join(f"{c}\n{_said(c[9:])}" for c in commands) + "```"

    with contextlib.chdir(folder):
        return BLOCK.sub(block, text)


def _said(arguments: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        main(shlex.split(arguments))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    said = "\n".join(lines) + "\n"
    # A person's key goes by the key of the directory, which is random; a policy's digest by its last comma.
    said = re.sub(r"digest [0-9a-f]{16}…", "digest 5f0c27d19be84a36…", said)
    return re.sub(r"\b[0-9a-f]{8}…", "4c61b20e…", said)


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(walked(PAGE.read_text("utf-8"), Path(folder)), encoding="utf-8")
    sys.exit(0)
