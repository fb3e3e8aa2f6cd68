"""A partner's side for tests: the example's own code, and a server that takes what the city tells."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@functools.cache
def example(name: str = "rides") -> Any:
    """The module `examples/<name>.py`."""
    spec = importlib.util.spec_from_file_location(f"{name}_example", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@dataclass
class Heard:
    """What came, and what is answered: a status, or what is done with the connection. The last one stays."""

    answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=lambda: [204])
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def names(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.came]


@contextmanager
def listening(context: Any = None) -> Iterator[Heard]:
    """A platform's server on this machine."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = heard.answers.pop(0) if len(heard.answers) > 1 else heard.answers[0]
            heard.came.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if callable(answer):
                answer(self)
            else:
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.send_header("location", "/elsewhere")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        heard.url = f"http{'' if context is None else 's'}://127.0.0.1:{server.server_port}/told"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()
