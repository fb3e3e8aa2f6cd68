"""A private key lies in one file, for its owner only, is never overwritten, and says what it is."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kangma.errors import Conflict, Corrupt
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.store.keyfiles import make_key_file, read_key_file, remove_key_file, write_key_file
from kangma.store.keys import make_key_folder

BOTH = list(Algorithm)
TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    make_key_folder(made)
    return made


@pytest.mark.parametrize("algorithm", BOTH)
def test_a_key_comes_out_of_its_file_as_it_went_in(folder: Path, algorithm: Algorithm) -> None:
    made = make_key_file(folder / "a.pem", algorithm, PRODUCTION)
    read = read_key_file(folder / "a.pem")
    assert (read.public, read.key_id, read.environment) == (made.public, made.key_id, PRODUCTION)
    assert read.sign(b"m") == made.sign(b"m")
    assert (folder / "a.pem").stat().st_mode & 0o777 == 0o600
    assert made.secret.hex() not in repr(made)


def test_no_key_is_ever_overwritten(folder: Path) -> None:
    made = make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    with pytest.raises(Conflict):
        make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    (folder / "b.pem").symlink_to(folder / "c.pem")
    with pytest.raises(Conflict):
        make_key_file(folder / "b.pem", Algorithm.ES256, TEST)
    assert read_key_file(folder / "a.pem").key_id == made.key_id
    assert not (folder / "c.pem").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_may_touch_is_refused(folder: Path, mode: int) -> None:
    make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    (folder / "a.pem").chmod(mode)
    with pytest.raises(Corrupt, match="owner-only"):
        read_key_file(folder / "a.pem")


def test_a_key_file_in_an_open_folder_or_behind_a_link_is_refused(folder: Path) -> None:
    make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    (folder / "b.pem").symlink_to("a.pem")
    with pytest.raises(Corrupt):
        read_key_file(folder / "b.pem")
    folder.chmod(0o750)
    with pytest.raises(Corrupt, match="owner-only"):
        read_key_file(folder / "a.pem")


def test_a_key_is_not_taken_into_another_environment(folder: Path) -> None:
    make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    text = (folder / "a.pem").read_bytes()
    (folder / "a.pem").write_bytes(text.replace(b": test", b": production"))
    with pytest.raises(Corrupt, match="another key than it says"):
        read_key_file(folder / "a.pem")


def test_a_file_that_is_cut_short_or_no_key_file_is_refused_whatever_it_holds(folder: Path) -> None:
    make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    whole = (folder / "a.pem").read_bytes()
    bad = folder / "bad.pem"
    for content in (*(whole[:n] for n in range(len(whole) - 30)), whole * 20, b"\xff" * 100, whole[40:]):
        bad.write_bytes(content)
        bad.chmod(0o600)
        with pytest.raises(Corrupt):
            read_key_file(bad)


def test_a_root_key_may_be_sealed_with_a_passphrase(folder: Path) -> None:
    made = make_key_file(folder / "r.pem", Algorithm.ES256, TEST, passphrase=b"correct horse")
    asked: list[str] = []

    def passphrase(name: str) -> bytes:
        asked.append(name)
        return b"correct horse"

    assert read_key_file(folder / "r.pem", passphrase=passphrase).key_id == made.key_id
    assert asked == ["r.pem"]
    with pytest.raises(Corrupt, match="sealed"):
        read_key_file(folder / "r.pem")
    with pytest.raises(Corrupt, match="passphrase"):
        read_key_file(folder / "r.pem", passphrase=lambda _: b"battery staple")


def test_a_removed_key_is_gone_and_may_be_removed_again(folder: Path) -> None:
    make_key_file(folder / "a.pem", Algorithm.ES256, TEST)
    remove_key_file(folder / "a.pem")
    remove_key_file(folder / "a.pem")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("algorithm", BOTH)
def test_openssl_reads_the_same_key(folder: Path, algorithm: Algorithm) -> None:
    secret = hashlib.sha256(b"kangma test key openssl").digest()
    signer = KeySigner(algorithm, secret, TEST)
    for passphrase in (None, b"horse"):
        file = folder / f"{passphrase}.pem"
        write_key_file(file, signer, passphrase=passphrase)
        call = ["openssl", "pkey", "-in", str(file), "-pubout", "-outform", "DER", "-passin", "pass:horse"]
        said = subprocess.run(call, capture_output=True, check=True)
        assert said.stdout.endswith(signer.public.raw)
