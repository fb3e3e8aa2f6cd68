"""Signed requests: HTTP Message Signatures (RFC 9421) with Ed25519, over what RFC 9530 says of the body.

What is covered binds a message to its receiver (`@target-uri`), to its content and to its name; `created` says when. A
receiver needs the sender's public key and nothing secret.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kangma.terms import Moment

LABEL, TAG = "city", "kangma-ride"
COVERED = ("@method", "@target-uri", "content-type", "content-digest", "webhook-id")


def base_of(covered: Sequence[tuple[str, str]], parameters: str) -> bytes:
    """The signature base (2.5) of components (name, value) and the value of `@signature-params`."""
    lines = [f'"{name}": {value}' for name, value in covered]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("ascii")


def parameters_of(names: Sequence[str], **more: int | str) -> str:
    """`@signature-params` (2.3) of these components."""
    said = "".join(f";{k}={v}" if isinstance(v, int) else f';{k}="{v}"' for k, v in more.items())
    return "(" + " ".join(f'"{name}"' for name in names) + ")" + said


def digest_of(body: bytes) -> str:
    """The value of Content-Digest (RFC 9530, 2)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signed(
    key: Ed25519PrivateKey,
    url: str,
    body: bytes,
    *,
    message: str,
    created: Moment,
    media: str = "application/json",
) -> dict[str, str]:
    """All headers of a POST of this body to `url`. `url` is as it goes out: its host in small letters, no default port, a
    path."""
    headers = {"content-type": media, "content-digest": digest_of(body), "webhook-id": message}
    values: Mapping[str, str] = {"@method": "POST", "@target-uri": url, **headers}
    parameters = parameters_of(
        COVERED, created=created, keyid=key_id(key.public_key()), alg="ed25519", tag=TAG
    )
    made = key.sign(base_of([(name, values[name]) for name in COVERED], parameters))
    return headers | {
        "signature-input": f"{LABEL}={parameters}",
        "signature": f"{LABEL}=:{base64.b64encode(made).decode()}:",
    }


def public_jwk(key: Ed25519PublicKey) -> dict[str, Any]:
    """The public key as JWK (RFC 8037) with its id."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _text(key.public_bytes_raw()), "kid": key_id(key)}


def key_id(key: Ed25519PublicKey) -> str:
    """The key's thumbprint (RFC 7638)."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_text(key.public_bytes_raw())}"}}'
    return _text(hashlib.sha256(canonical.encode()).digest())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
