"""Names and numbers are sealed; a key that others could read is no key."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kangma.errors import Conflict, Corrupt
from kangma.intake.documents import SECRETS
from kangma.store.keys import make_key, make_key_folder, read_key
from kangma.store.state import State
from kangma.store.vault import Vault

NAME, NUMBER, PHONE = "龘靐齉", "KX7654321", "+86 100 0000 7777"
WHO = bytes(range(16))


def secret(person: bytes = WHO, name: str | None = NAME, phone: str | None = PHONE) -> pa.RecordBatch:
    row = {"person": person, "id_type": "20", "id_number": NUMBER, "name": name, "phone": phone}
    return pa.RecordBatch.from_pylist([row], SECRETS)


def test_who_a_person_is_can_be_read_with_the_key_and_only_then(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.sqlite", b"k" * 32)
    vault.put(vault.seal_many(secret()))
    found = vault.open(WHO)
    assert found is not None
    assert (found.id_type, found.id_number, found.name, found.phone) == ("20", NUMBER, NAME, PHONE)
    assert NAME not in repr(found)
    assert vault.open(bytes(16)) is None
    vault.close()
    other = Vault(tmp_path / "vault.sqlite", b"x" * 32)
    assert other.open(WHO) is None  # not even where the row is
    other.close()


def test_the_vaults_file_shows_neither_an_identity_nor_a_person_key(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.sqlite", b"k" * 32)
    vault.put(vault.seal_many(secret()))
    vault.close()
    content = b"".join(f.read_bytes() for f in tmp_path.iterdir())
    for plain in (NAME.encode(), NUMBER.encode(), PHONE.encode(), WHO):
        assert plain not in content


def test_a_sealed_row_moved_to_another_person_does_not_open(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.sqlite", b"k" * 32)
    mine, theirs = vault.seal_many(secret())[0], bytes([9]) * 16
    vault.put([type(mine)(vault.row(theirs), mine.part, mine.sealed)])
    with pytest.raises(Corrupt):
        vault.open(theirs)
    vault.close()


def test_a_later_name_replaces_the_older_and_the_number_stays(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.sqlite", b"k" * 32)
    vault.put(vault.seal_many(secret()))
    known = vault.known([vault.row(WHO)])
    again = vault.seal_many(secret(name="龘靐", phone=None), known=known)
    assert len(again) == 1  # the document is there already
    vault.put(again)
    found = vault.open(WHO)
    assert found is not None
    assert (found.id_number, found.name, found.phone) == (NUMBER, "龘靐", None)
    vault.close()


def test_a_shredded_identity_is_gone_from_the_files_bytes(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.sqlite", b"k" * 32)
    sealed = vault.seal_many(secret())
    vault.put(sealed)
    assert vault.shred([WHO]) == 2
    assert vault.open(WHO) is None
    vault.close()
    content = b"".join(f.read_bytes() for f in tmp_path.iterdir())
    assert all(s.sealed not in content for s in sealed)
    assert vault.row(WHO) not in content


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    make_key_folder(tmp_path / "keys")
    file = tmp_path / "keys" / "person.key"
    key = make_key(file)
    assert len(key) == 32
    assert read_key(file) == key
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict):
        make_key(file)
    assert read_key(file) == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    make_key_folder(tmp_path / "keys")
    make_key(tmp_path / "keys" / "a.key")
    (tmp_path / "keys" / "a.key").chmod(mode)
    with pytest.raises(Corrupt):
        read_key(tmp_path / "keys" / "a.key")


def test_a_key_in_an_open_folder_behind_a_link_or_cut_short_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_key_folder(folder)
    make_key(folder / "a.key")
    (folder / "link.key").symlink_to(folder / "a.key")
    with pytest.raises(Corrupt):
        read_key(folder / "link.key")
    (folder / "short.key").write_bytes(b"1234")
    (folder / "short.key").chmod(0o600)
    with pytest.raises(Corrupt):
        read_key(folder / "short.key")
    folder.chmod(0o755)
    with pytest.raises(Corrupt):
        read_key(folder / "a.key")


def test_identities_come_with_the_rows_that_name_them(state: State) -> None:
    from made_up import result, rows  # noqa: PLC0415

    state.inbox.accept("lab7", "tests", [rows("tests", {**result(1, "s1"), "person": WHO})], [secret()])
    found = state.vault.open(WHO)
    assert found is not None
    assert found.id_number == NUMBER
