"""`kangma demo --port`: a city of the last days, its door open, and people to log in as."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import zxingcpp
from hamlet import phone_key
from joserfc import jwt
from joserfc.jwk import ECKey
from laboratory import lines, new_key
from PIL import Image
from test_front_serving import free_port

from kangma.gateway.front.who.assertions import ASSERTION_TYPE

PATIENCE = 180.0
RARELY = 0.6  # seconds: a phone that asks more than twice a second is soon told 429
ROOT = Path(__file__).parents[2]


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
            for card in map(Path, told["cards"].values()):
                with Image.open(card) as picture:
                    (read,) = zxingcpp.read_barcodes(picture)
                    assert read.text == card.with_suffix(".txt").read_text("utf-8")
                    assert picture.height > 2 * abs(read.position.bottom_left.y - read.position.top_left.y)
            who = next(x for x in told["logins"] if x["code"] == "green")
            asked = {k: who[k] for k in ("id_type", "id_number", "name")}
            binding = client.post("/v1/bindings", json=asked).json()["binding"]
            sent = tmp_path / "demo" / "state" / "front" / "sent.ndjson"
            until(sent.exists, demo)
            code = json.loads(sent.read_text("utf-8").splitlines()[-1])["code"]
            body = {"code": code, "device_key": phone_key().public.compressed.hex()}
            held = client.post(f"/v1/bindings/{binding}/confirm", json=body).json()
            phone = {"authorization": f"Bearer {held['token']}"}
            until(lambda: colour(client, phone) == "green", demo, RARELY)
            tables = ["--city", str(tmp_path / "demo"), "--address", told["address"], "--rides", "3"]
            example = [sys.executable, str(ROOT / "examples" / "rides.py"), *tables, "--passengers", "1"]
            played = subprocess.run(example, capture_output=True, text=True, check=False, timeout=120)
            assert "3 rides checked" in played.stdout, played.stderr
            base = json.loads((tmp_path / "demo" / "state" / "city.json").read_bytes())["base"]
            ours = ["--key", told["clients"]["demo-lab"], "--audience", f"{base}/oauth/token"]
            ours += ["--address", told["address"], "--patients", str(tmp_path / "demo" / "tables")]
            laboratory = [sys.executable, str(ROOT / "examples" / "laboratory.py"), *ours]
            sent_ = subprocess.run(laboratory, capture_output=True, text=True, check=False, timeout=120)
            assert "20 received, 20 accepted, 0 duplicate, 0 refused" in sent_.stdout, sent_.stderr
            assert "refused: row 2, line 2, column result: not_in_list" in sent_.stdout
            report(client, Path(told["clients"]["demo-lab"]), asked)
            until(lambda: colour(client, phone) == "red", demo, RARELY)
        finally:
            demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0


def report(client: httpx2.Client, key: Path, person: dict[str, str]) -> None:
    """The demo's laboratory sends a positive of this person."""
    now = int(time.time())
    base = json.loads((key.parents[1] / "state" / "city.json").read_bytes())["base"]
    claims = {
        "iss": "demo-lab",
        "sub": "demo-lab",
        "aud": f"{base}/oauth/token",
        "exp": now + 60,
        "jti": new_key(),
    }
    asked = {
        "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(key.read_text())),
    }  # fmt: skip
    token = client.post("/oauth/token", data=asked).json()["access_token"]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    row = {k: person[k] for k in ("id_type", "id_number")} | {
        "specimen_id": "D-1", "reported_at": at, "method": "nat", "pooled": False, "result": "positive", "lab": "demo",
    }  # fmt: skip
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/x-ndjson",
        "idempotency-key": new_key(),
    }
    said = client.post("/source/v1/tests", content=lines([row]), headers=headers)
    assert said.status_code == 201, said.text
    assert said.json()["accepted"] == 1


def colour(client: httpx2.Client, phone: dict[str, str]) -> str | None:
    """The colour that this phone is shown; None while its first code is being made."""
    answer = client.get("/v1/me/code", headers=phone)
    assert answer.status_code in (200, 503), answer.text
    return str(answer.json()["colour"]) if answer.status_code == 200 else None


def until(holds: Any, demo: subprocess.Popen[bytes], pause: float = 0.1) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except httpx2.HTTPError:
            pass
        assert demo.poll() is None, "it ended by itself"
        assert time.monotonic() < end
        time.sleep(pause)
