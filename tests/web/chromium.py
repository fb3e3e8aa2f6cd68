"""Debian's Chromium, with nothing to talk to but a server of ours on the loopback interface, and later not even that."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ALONE = [
    "--no-sandbox",  # as root it starts no other way; it opens our own pages only
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@contextmanager
def browser(*switches: str) -> Iterator[Browser]:
    """Chromium, started with these besides. Skips the test where there is none; fails it in CI, which installs one."""
    found = shutil.which("chromium")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI without Chromium: .ci/run installs it")
    if found is None:
        pytest.skip("NO CHROMIUM HERE, so nothing was seen in a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*ALONE, *switches])
        try:
            yield started
        finally:
            started.close()


class _Folder(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(self.path)


@contextmanager
def served(folder: Path, asked: list[str] | None = None) -> Iterator[str]:
    """The address at which the folder is served. What is asked for is added to `asked`."""
    kind = type("Handler", (_Folder,), {"asked": [] if asked is None else asked})
    handler = functools.partial(kind, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
