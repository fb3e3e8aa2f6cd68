"""A passkey authenticator in software, and the browser around it: what they sign is made here byte by byte (WebAuthn 6.1,
6.5), so that the gateway's reading is held against something that is not the library it reads with."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One device with one passkey. Every part of what it says can be made wrong by a test."""

    origin: str = "https://register.example"
    rp: str = "register.example"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def _client_data(self, kind: str, challenge: str) -> bytes:
        told = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(told).encode()

    def _data(self, extra: bytes = b"", flags: int = 0) -> bytes:
        head = hashlib.sha256(self.rp.encode()).digest()
        return head + bytes([self.flags | flags]) + self.count.to_bytes(4, "big") + extra

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create` gives, as JSON."""
        asked = options["publicKey"]
        assert asked["authenticatorSelection"]["userVerification"] == "required"
        assert asked["authenticatorSelection"]["residentKey"] == "required"
        assert asked["attestation"] == "none"
        self.handle = unb64(asked["user"]["id"])
        point = self.key.public_key().public_numbers()
        public = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": self._data(attested, ATTESTED)})
        return {
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key",
            "response": {
                "clientDataJSON": b64(self._client_data("webauthn.create", asked["challenge"])),
                "attestationObject": b64(made),
            },
            "clientExtensionResults": {},
        }  # fmt: skip

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get` gives, as JSON."""
        asked = options["publicKey"]
        assert asked["userVerification"] == "required"
        assert asked["rpId"] == self.rp
        assert not asked.get("allowCredentials")
        told, data = self._client_data("webauthn.get", asked["challenge"]), self._data()
        signature = self.key.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": b64(self.id), "rawId": b64(self.id), "type": "public-key",
            "response": {
                "clientDataJSON": b64(told), "authenticatorData": b64(data), "signature": b64(signature),
                "userHandle": b64(self.handle),
            },
            "clientExtensionResults": {},
        }  # fmt: skip
