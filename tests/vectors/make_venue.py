"""Makes venue/codes.json: the rotating code of a door, byte for byte. `python tests/vectors/make_venue.py [FOLDER]`."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from kangma.credential.venue_code import Scan, check_digit, code_at, key_text, text_of, token_at

#: RFC 6238, appendix B, SHA-256: the published steps and codes.
RFC = {
    0x1: "46119246", 0x23523EC: "68084774", 0x23523ED: "67062674", 0x273EF07: "91819424", 0x3F940AA: "90698825",
    0x27BC86AA: "77737706",
}  # fmt: skip
BASE = "https://code.kangma.example"


def vectors() -> dict[str, Any]:
    key = b"12345678901234567890123456789012"
    made: list[dict[str, Any]] = [
        {"from": "RFC 6238, appendix B", "key": key.hex(), "minute": step, "code": code}
        for step, code in RFC.items()
    ]
    for n in range(12):
        digits = f"{1_234_567 + 700_001 * n}"
        venue, secret = digits + check_digit(digits), hashlib.sha256(f"venue vector {n}".encode()).digest()
        minute = 27_500_000 + 97 * n if n < 11 else 2**31
        code = code_at(secret, minute)
        made.append(
            {
                "venue": venue, "key": secret.hex(), "key_text": key_text(venue, secret), "minute": minute, "code": code,
                "text": text_of(BASE, Scan(venue, minute, code)), "token": token_at(venue, secret, minute),
            }
        )  # fmt: skip
    good = made[-1]
    v, m, c = good["venue"], good["minute"], good["code"]
    refused = [
        {
            "why": "a digit of the venue is wrong",
            "text": f"{BASE}/#in.{v[:-1]}{(int(v[-1]) + 1) % 10}.{m}.{c}",
        },
        {"why": "another city", "text": f"https://other.example/#in.{v}.{m}.{c}", "elsewhere": True},
        {"why": "not a door's", "text": f"{BASE}/#out.{v}.{m}.{c}"},
        {"why": "seven digits", "text": f"{BASE}/#in.{v}.{m}.{c[:-1]}"},
        {"why": "something behind it", "text": f"{BASE}/#in.{v}.{m}.{c}.1"},
        {"why": "another scheme", "text": f"javascript://{BASE}/#in.{v}.{m}.{c}"},
        {"why": "digits of another script", "text": f"{BASE}/#in.{v}.{m}.１２３４５６７８"},
        {"why": "too long", "text": f"{BASE}/{'x' * 300}#in.{v}.{m}.{c}"},
        {"why": "nothing", "text": ""},
    ]
    return {"base": BASE, "codes": made, "refused": refused}


def main(folder: Path) -> None:
    (folder / "codes.json").write_text(json.dumps(vectors(), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "venue")
