"""The real thing: `kangma serve --port`, four processes and all, from an empty machine to a code that a door believes."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from edge import free_row
from hamlet import CITY, NURSE, people, phone_key, tell
from test_front_walk import door_of

from kangma.credential import holder, issue
from kangma.credential.outcome import Verified
from kangma.policy.published import read
from kangma.publish.city import name_city
from kangma.store.state import create

PATIENCE = 120.0


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


class Served:
    """`kangma serve` on the hamlet's evidence, with the machine's clock."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path, self.port = folder / "state", free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        with create(self.path, policy=[t.encode() for t in read("beijing-2022-04-22")]) as state:
            name_city(self.path, replace(CITY, base=self.base))
            tell(state, people(), int(time.time()))
        self.said = (folder / "said").open("w+")
        command = [
            sys.executable,
            "-m",
            "kangma",
            "serve",
            str(self.path),
            "--every",
            "0.5",
            "--port",
            str(self.port),
            *options,
        ]
        self.supervisor = subprocess.Popen(command, stderr=self.said)
        self.client = httpx2.Client(base_url=self.base, timeout=30)

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := self._tried(holds)):
            assert self.supervisor.poll() is None, "it ended by itself"
            self.said.seek(0)
            assert time.monotonic() < end, f"{what} never came:\n{self.said.read()}"
            time.sleep(0.05)
        return found

    def _tried(self, holds: Callable[[], Any]) -> Any:
        try:
            return holds()
        except (httpx2.HTTPError, OSError):
            return None

    def letter(self) -> str:
        *_, last, rest = ["", *(self.path / "front" / "sent.ndjson").read_text("utf-8").split("\n")]
        if rest or not last:
            return ""  # it is being written
        code: str = json.loads(last)["code"]
        return code

    def bind(self) -> dict[str, Any]:
        binding = self.client.post("/v1/bindings", json=NURSE.asked).json()["binding"]
        asked = {
            "code": self.until(self.letter, "a letter"),
            "device_key": phone_key().public.compressed.hex(),
        }
        said = self.client.post(f"/v1/bindings/{binding}/confirm", json=asked)
        assert said.status_code == 201, said.text
        held: dict[str, Any] = said.json()
        return held

    def part(self, name: str) -> int | None:
        return next(iter(self.parts(name)), None)

    def parts(self, name: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            if entry.name.isdigit() and str(self.path) in line and line[-2:] == ["--only", name]:
                found.append(int(entry.name))
        return sorted(found)

    def kill(self, name: str) -> None:
        """A part is killed, and another has taken its place."""
        pid = self.until(lambda: self.part(name), name)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.part(name) not in (None, pid), f"another {name}")

    def stop(self) -> None:
        self.client.close()
        self.supervisor.send_signal(signal.SIGTERM)
        try:
            assert self.supervisor.wait(60) == 0
        finally:
            self.supervisor.kill()
            self.said.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_city_is_served_from_binding_to_the_door(served: Served) -> None:
    served.until(lambda: served.client.get("/public/latest.json").status_code == 200, "the first release")
    held = served.bind()
    headers = {"authorization": f"Bearer {held['token']}"}

    def code() -> Any:
        said = served.client.get("/v1/me/code", headers=headers)
        return said.json() if said.status_code == 200 else None

    assert served.until(code, "the first answer")["colour"] in ("green", "unknown")
    for part in ("answers", "gateway"):
        served.kill(part)
    code = served.until(lambda: served.client.get("/v1/me/code", headers=headers), "the gateway")
    assert code.json()["name_mask"] == held["name_mask"]

    key = phone_key()
    made = served.client.post(
        "/v1/me/credentials", headers=headers, json={"holders": [key.public.compressed.hex()]}
    )
    assert made.status_code == 201, made.text
    signed = base64.urlsafe_b64decode(made.json()["credentials"][0]["text"] + "==")
    now = int(time.time())
    text = issue.shown(signed, holder.prove(signed, holder.step_of(now), key))
    found = door_of(served.client, f"http://127.0.0.1:{served.port}").verify(text, now=now)
    assert isinstance(found, Verified), found


@pytest.mark.prove
def test_one_plane_and_one_worker_stand_without_the_other(tmp_path: Path) -> None:
    """Two workers and the read plane; whatever is held up or killed, the rest answers, and it comes back."""
    read, inner = free_port(), free_row(3)
    served = Served(tmp_path, "--read-port", str(read), "--workers", "2", "--inner-port", str(inner))

    def said(port: int, path: str) -> int:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", headers=phone, timeout=20).status_code

    phone: dict[str, str] = {}
    try:
        for at in range(inner, inner + 3):  # each says for itself whether it is ready
            served.until(lambda at=at: said(at, "/health/ready") == 200, "readiness")  # type: ignore[misc]  # mypy cannot type a lambda with a default
        served.until(lambda: said(inner, "/health/parts") == 200, "all parts")
        phone["authorization"] = f"Bearer {served.bind()['token']}"
        served.until(lambda: said(served.port, "/v1/me/code") == 200, "the code")
        assert (said(read, "/public/root"), said(served.port, "/public/root")) == (200, 404)
        assert said(read, "/v1/me/code") == 404
        gateways, readers = served.parts("gateway"), served.parts("reader")
        assert (len(gateways), len(readers)) == (2, 1)
        for held, port, path in (
            (readers, served.port, "/v1/me/code"),
            (gateways, read, "/public/root"),
            (gateways[:1], served.port, "/v1/me/code"),
            (gateways[1:], served.port, "/v1/me/code"),
        ):
            for pid in held:
                os.kill(pid, signal.SIGSTOP)
            try:
                assert [said(port, path) for _ in range(4)] == [200] * 4
            finally:
                for pid in held:
                    os.kill(pid, signal.SIGCONT)
        for pid in gateways + readers:
            os.kill(pid, signal.SIGKILL)
        assert (said(served.port, "/v1/me/code"), said(read, "/public/root")) == (200, 200)  # who comes waits
        assert not set(gateways + readers) & set(served.parts("gateway") + served.parts("reader"))
    finally:
        served.stop()
