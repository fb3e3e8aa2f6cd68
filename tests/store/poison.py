"""A reader with bugs: it reads as the real one does, unless a row says how it should fail."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from typing import Any, BinaryIO

from kangma.intake.documents import Batch
from kangma.intake.identity import Keyer
from kangma.intake.limits import Limits
from kangma.store import forms


def read(source: BinaryIO, request: dict[str, Any], keyer: Keyer, limits: Limits) -> Iterator[Batch]:
    content = b""
    while piece := source.read(1 << 20):
        content += piece
    if b"DIES" in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"RAISES" in content:
        raise RuntimeError("a bug, with the row of 张三 in its message")
    if b"EATS" in content:
        eaten = []
        while True:
            eaten.append(bytearray(16 << 20))
    if b"SPINS" in content:
        while True:
            pass
    if b"WRITES" in content:
        with open("/tmp/kangma-poison", "wb") as f:  # noqa: PTH123
            f.write(b"what was sent")
    yield from forms.read(io.BytesIO(content), request, keyer, limits)
