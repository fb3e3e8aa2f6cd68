"""`kangma demo --port`: a city of the last days, its door open, and people to log in as."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
from hamlet import phone_key
from test_front_serving import free_port

PATIENCE = 180.0


def test_a_demo_opens_its_door_and_says_who_may_come_in(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "kangma", "demo", "--residents", "200", "--days", "2", "--json"]
    command += ["--out", str(tmp_path / "demo"), "--port", str(port)]
    with (
        (tmp_path / "said").open("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL) as demo,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            until(lambda: client.get("/public/latest.json").status_code == 200, demo)
            said.seek(0)
            told = json.loads(said.read())
            assert told["address"] == f"http://127.0.0.1:{port}"
            who = next(x for x in told["logins"] if x["code"] == "green")
            asked = {k: who[k] for k in ("id_type", "id_number", "name")}
            binding = client.post("/v1/bindings", json=asked).json()["binding"]
            sent = tmp_path / "demo" / "state" / "front" / "sent.ndjson"
            until(sent.exists, demo)
            code = json.loads(sent.read_text("utf-8").splitlines()[-1])["code"]
            body = {"code": code, "device_key": phone_key().public.compressed.hex()}
            held = client.post(f"/v1/bindings/{binding}/confirm", json=body).json()
            phone = {"authorization": f"Bearer {held['token']}"}
            until(lambda: client.get("/v1/me/code", headers=phone).status_code == 200, demo)
            assert client.get("/v1/me/code", headers=phone).json()["colour"] == "green"
        finally:
            demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0


def until(holds: Any, demo: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except httpx2.HTTPError:
            pass
        assert demo.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(0.1)
