"""A laboratory sends its results to a city that is served: `python examples/laboratory.py --help`.

What a laboratory needs of a city is the class `Laboratory`: a token for its own signature, a batch with its manifest, and
what became of it. Copy it with `Line`; they need the standard library, and joserfc with the cryptography that it brings.

    kangma demo --residents 2000 --days 20 --port 8080     # in one terminal: it prints where the key is, and the audience
    python examples/laboratory.py --address http://127.0.0.1:8080 --key out/demo/clients/demo-lab.pem \
        --audience https://kangma.example/oauth/token --patients out/demo/tables
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATIENCE = 20  # times that it comes back after "later"


class Refusal(Exception):
    """What the city does not take: its status and its words (RFC 9457)."""

    def __init__(self, status: int, said: Mapping[str, Any]) -> None:
        self.status, self.said = status, said
        parts = (said.get(name) for name in ("code", "error", "where", "detail", "error_description"))
        super().__init__(f"{status} {', '.join(str(part) for part in parts if part)}")


class Line:
    """One connection to a city, kept open until `close`. Whoever is told "later" comes back then, with the same."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address.rstrip("/"))
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._made = kind(parts.netloc, timeout=60)

    def close(self) -> None:
        self._made.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Status and JSON. Raises Refusal."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        for _ in range(PATIENCE):
            try:
                self._made.request(method, path, body or None, told)
                answer = self._made.getresponse()
                said = answer.read()
            except (http.client.HTTPException, ConnectionError):
                self._made.close()  # it was closed after a rest, or the gateway was started again
                time.sleep(0.2)
                continue
            if answer.status not in (429, 503):
                break
            time.sleep(float(answer.headers.get("retry-after", "1")))
        else:
            raise RuntimeError(f"{method} {path}: not now")
        got = json.loads(said) if said else {}
        if answer.status >= 400:
            raise Refusal(answer.status, got)
        return answer.status, got


@dataclass
class Laboratory:
    """A source of the city. `audience`: what an assertion is for, which the city tells whom it registers."""

    name: str
    key: ECKey = field(repr=False)
    line: Line
    audience: str
    _token: str = field(default="", repr=False)
    _until: float = 0.0

    def token(self) -> str:
        """An access token for our own signature (private_key_jwt), a new one when the last is nearly over."""
        if time.time() > self._until - 60:
            now = int(time.time())
            claims = {
                "iss": self.name, "sub": self.name, "aud": self.audience, "jti": secrets.token_urlsafe(16),
                "iat": now, "exp": now + 120,
            }  # fmt: skip
            asked = {
                "grant_type": "client_credentials", "client_assertion_type": ASSERTION,
                "client_assertion": jwt.encode({"alg": "ES256"}, claims, self.key),
            }  # fmt: skip
            form = {"content_type": "application/x-www-form-urlencoded"}
            _, got = self.line.ask("POST", "/oauth/token", urlencode(asked).encode(), **form)
            self._token, self._until = got["access_token"], now + got["expires_in"]
        return self._token

    def send(
        self, rows: Sequence[Mapping[str, Any]], sequence: int, *, key: str = "", kind: str = "tests"
    ) -> tuple[str, dict[str, Any]]:
        """(the idempotency key, the receipt). What it counts as accepted is durable. The same again with the same key,
        after a cut line or a week later, is taken once: the receipt is the same. `sequence`: of our batches, without
        gaps."""
        key = key or secrets.token_urlsafe(18)
        body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        headers = {
            "authorization": f"Bearer {self.token()}",
            "content_type": "application/x-ndjson",
            "idempotency_key": key,
            "manifest_sequence": str(sequence),
            "manifest_rows": str(len(rows)),
            "manifest_sha256": hashlib.sha256(body).hexdigest(),
        }
        _, receipt = self.line.ask("POST", f"/source/v1/{kind}", body, **headers)
        return key, receipt

    def rejects(self, receipt: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The refused rows of a receipt: row, line, code, and the column where one is at fault."""
        if not receipt["rejects"]:
            return []
        _, got = self.line.ask("GET", receipt["rejects"], authorization=f"Bearer {self.token()}")
        rows: list[dict[str, Any]] = got["rejects"]
        return rows


def result(patient: Mapping[str, str], result: str = "negative") -> dict[str, Any]:
    """One test as the city takes it: docs/reference/kinds.md."""
    return {
        **patient, "specimen_id": secrets.token_hex(8), "reported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": "nat", "pooled": False, "result": result, "lab": "示例检验所 Example Laboratory",
    }  # fmt: skip


def said(receipt: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{receipt[name]} {name}" for name in ("received", "accepted", "duplicate", "refused"))
    return f"receipt {receipt['receipt']}: {counts}"


def play(
    laboratory: Laboratory, patients: Sequence[Mapping[str, str]], numbers: Iterator[int]
) -> Iterator[str]:
    """A day: a batch, the same once more, one with a bad row, one of a kind that is not ours. What came of each."""
    rows, first = [result(patient) for patient in patients], next(numbers)
    key, receipt = laboratory.send(rows, first)
    yield said(receipt)
    _, again = laboratory.send(rows, first, key=key)
    yield f"sent again with the same key: receipt {again['receipt']}, nothing counted twice"
    _, receipt = laboratory.send([result(patients[0]), result(patients[-1], "maybe")], next(numbers))
    yield said(receipt)
    for one in laboratory.rejects(receipt):
        place = ", ".join(f"{name} {one[name]}" for name in ("row", "line", "column") if name in one)
        yield f"  refused: {place}: {one['code']}"
    try:
        laboratory.send(rows, next(numbers), kind="cases")
    except Refusal as refusal:
        yield f"of another kind: {refusal}"


def people(tables: Path, count: int) -> list[dict[str, str]]:
    """Patients: in the play, people of the invented city."""
    import pyarrow.parquet as pq  # noqa: PLC0415  only the play needs it

    file = next(iter(sorted(tables.rglob("people*.parquet"))), None)
    if file is None:
        raise RuntimeError(f"no people in {tables}")
    found: list[dict[str, str]] = (
        pq.read_table(file, columns=["id_type", "id_number"]).slice(0, count).to_pylist()
    )
    return found


def numbered(file: Path) -> Iterator[int]:
    """Numbers for our batches, each once, also over restarts: the city tells its operators of a gap."""
    last = int(file.read_text()) if file.exists() else 0
    while True:
        last += 1
        file.write_text(str(last))
        yield last


def main(arguments: list[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--address", required=True, help="where the city's front door is")
    asked.add_argument("--key", type=Path, required=True, help="our private key; its name is ours")
    asked.add_argument("--audience", required=True, help="what an assertion is for: …/oauth/token")
    asked.add_argument("--patients", type=Path, required=True, help="the tables of `kangma demo`")
    asked.add_argument("--rows", type=int, default=20)
    given = asked.parse_args(arguments)
    with Line(given.address) as line:
        key = ECKey.import_key(given.key.read_text())
        laboratory = Laboratory(given.key.stem, key, line, given.audience)
        numbers = numbered(given.key.with_suffix(".sequence"))
        for told in play(laboratory, people(given.patients, given.rows), numbers):
            sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main()
