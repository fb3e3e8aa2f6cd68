"""The verifier stands alone: no network whatever a code says, and little to install for whoever only checks codes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from at_the_door import NOW, VECTORS, door, world

from kangma.credential.outcome import NotVerified

#: All that a scan needs, beyond Python itself. NumPy comes when a status list is taken in, and not before.
NEEDED = {"kangma", "cbor2", "cryptography", "tzdata"}
KANGMA = {
    "kangma",
    "kangma.credential",
    "kangma.credential.base45",
    "kangma.credential.claims",
    "kangma.credential.holder",
    "kangma.credential.marks",
    "kangma.credential.outcome",
    "kangma.credential.text",
    "kangma.credential.verify",
    "kangma.errors",
    "kangma.signing",
    "kangma.signing.cose",
    "kangma.signing.keys",
    "kangma.signing.trust",
    "kangma.terms",
}


def loaded_by(code: str) -> set[str]:
    asked = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_whoever_only_verifies_loads_none_of_the_deciding_half() -> None:
    loaded = loaded_by("import kangma.credential.verify")
    assert {m for m in loaded if m.split(".")[0] == "kangma"} == KANGMA
    beyond = {m.split(".")[0] for m in loaded} - set(sys.stdlib_module_names)
    assert {m.lstrip("_") for m in beyond if not m.startswith("_")} <= NEEDED
    assert {m for m in beyond if m.startswith("_")} <= {
        "_cffi_backend",
        "_cbor2",
        "_openssl",
        "_sysconfigdata__linux_x86_64-linux-gnu",
    }


def test_a_scan_needs_no_numpy() -> None:
    code = world.shown(world.phone())
    loaded = loaded_by(
        "from kangma.credential.marks import MarksInMemory\nfrom kangma.credential.verify import Verifier\n"
        "from kangma.signing.trust import decode_root\n"
        f"v = Verifier(decode_root(bytes.fromhex({world.encode_root(world.ROOT).hex()!r})), MarksInMemory())\n"
        f"v.take_trust(bytes.fromhex({world.sign_trust(world.TRUST, world.ROOT_KEYS).hex()!r}))\n"
        f"assert v.verify({code!r}, now={NOW}).reason == 'no_list'"
    )
    assert "numpy" not in loaded


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, called)


@pytest.mark.usefixtures("no_network")
def test_no_code_makes_a_verifier_call_anybody() -> None:
    verifier = door()
    with pytest.raises(AssertionError):
        socket.create_connection(("127.0.0.1", 1))
    for file in sorted((VECTORS / "verify").glob("*.json")):
        world.run(json.loads(file.read_text("utf-8")))
    for uri in (
        "https://evil.example/status/1/0",
        f"{world.BASE}/status/9/0",
        "file:///etc/passwd",
        "ldap://x/y",
    ):
        found = verifier.verify(world.shown(world.phone(uri=uri)), now=NOW)
        assert isinstance(found, NotVerified)
        assert verifier.verify(uri, now=NOW) == verifier.verify("x", now=NOW)


@pytest.mark.skipif(not Path("/proc/self/net/dev").exists(), reason="needs Linux")
def test_in_a_room_without_a_network_every_vector_ends_the_same() -> None:
    """The whole run again in a network namespace without interfaces, where the machine allows it."""
    script = f"import sys; sys.path.insert(0, {str(VECTORS)!r})\nimport make_verify, json, pathlib\n" + (
        f"for f in sorted(pathlib.Path({str(VECTORS / 'verify')!r}).glob('*.json')):\n"
        " said = json.loads(f.read_text('utf-8')); assert make_verify.run(said) == said['expected']\nprint('same')"
    )
    said = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if "unshare" in said.stderr:
        pytest.skip("no network namespaces here")
    assert said.stdout.strip() == "same", said.stderr
