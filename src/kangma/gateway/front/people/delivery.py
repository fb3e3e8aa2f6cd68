"""How codes reach people where there is no provider: the console of a demo."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from kangma.gateway.front.city import Letter

FILE = "sent.ndjson"


class Console:
    """Writes each letter into `front/sent.ndjson` (0600) and says it on the operator's terminal. For trying out, where
    whoever reads them is whoever asks; a city that means it has a provider of its own (`Delivery`)."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = folder / FILE, say

    def send(self, letter: Letter) -> None:
        line = (
            json.dumps({"to": letter.to, "code": letter.code, "why": letter.why}, ensure_ascii=False) + "\n"
        )
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
        self._say(f"{letter.why}: code {letter.code} for …{letter.to[-4:]}")
