"""Private keys in files: PKCS#8 in PEM, so that other tools read them too, in a file that only its owner may read.

Two lines stand before the PEM, where RFC 7468 (5.2) lets a file explain itself: the environment, without which a private
key could be taken into another, and the key id that follows from both. A root key may be sealed with a passphrase.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kangma.errors import Corrupt
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.durable import fsync_folder
from kangma.store.keys import read_secret, write_secret

MAX_BYTES = 4_096
_HEAD = re.compile(
    rb"Kangma-Environment: (production|test|development)\nKangma-Key-Id: ([0-9a-f]{16})\n\n(?=-----BEGIN )"
)
Passphrase = Callable[[str], bytes]  # file name → what opens it


def make_key_file(
    path: Path, algorithm: Algorithm, environment: Environment, *, passphrase: bytes | None = None
) -> KeySigner:
    """A new private key at `path` (0600), durable on return. Conflict when there is a file already."""
    signer = KeySigner(algorithm, new_secret(algorithm), environment)
    write_key_file(path, signer, passphrase=passphrase)
    return signer


def write_key_file(path: Path, signer: KeySigner, *, passphrase: bytes | None = None) -> None:
    """This private key at `path`, as `make_key_file`."""
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if signer.public.algorithm is Algorithm.ES256:
        key = ec.derive_private_key(int.from_bytes(signer.secret, "big"), ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(signer.secret)
    sealing: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    head = f"Kangma-Environment: {signer.environment}\nKangma-Key-Id: {signer.key_id.hex()}\n\n"
    write_secret(path, head.encode() + pem)


def read_key_file(path: Path, *, passphrase: Passphrase | None = None) -> KeySigner:
    """The key in a file. `passphrase` is asked when the file is sealed.

    Corrupt as `keys.read_secret`, and when the file is no key, is sealed and does not open, or holds another key than
    it says.
    """
    content = read_secret(path, most=MAX_BYTES + 1)
    head = _HEAD.match(content)
    if head is None or len(content) > MAX_BYTES:
        raise Corrupt(f"{path.name} is not a key file")
    pem = content[head.end() :]
    opens = None
    if pem.startswith(b"-----BEGIN ENCRYPTED"):
        if passphrase is None:
            raise Corrupt(f"{path.name} is sealed with a passphrase")
        opens = passphrase(path.name)
    try:
        key = load_pem_private_key(pem, opens)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Corrupt(f"{path.name} cannot be read, or the passphrase is another") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        secret, algorithm = key.private_numbers().private_value.to_bytes(32, "big"), Algorithm.ES256
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        secret, algorithm = key.private_bytes_raw(), Algorithm.EDDSA
    else:
        raise Corrupt(f"{path.name} holds a key of a kind that is not used here")
    signer = KeySigner(algorithm, secret, Environment(head[1].decode()))
    if signer.key_id.hex() != head[2].decode():
        raise Corrupt(f"{path.name} holds another key than it says")
    return signer


def remove_key_file(path: Path) -> None:
    """The file is gone, durable on return; no error when it was gone before. What a disk remembers beneath is beyond
    us: nothing is claimed of overwriting."""
    path.unlink(missing_ok=True)
    fsync_folder(path.parent)
