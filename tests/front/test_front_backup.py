"""A city with an open front door, backed up and restored: who was bound is bound, no dead token lives again, no second
history is signed, and nothing that is damaged is used."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hamlet import EVERYBODY, NURSE, TEACHER, Hamlet, hamlet, result
from laboratory import lines, registered, send

from kangma.cli import main
from kangma.errors import Corrupt, Refused
from kangma.store import backup as module
from kangma.store.backup import MANIFEST, Taken, take
from kangma.store.front import FrontStore, prepare
from kangma.store.restore import restore
from kangma.store.signing import is_stopped
from kangma.store.state import open_state
from kangma.store.submissions import NoReceipt, Submissions


def kept(door: Hamlet, folder: Path) -> Taken:
    return take(door.state, folder / "backup", keys=folder / "keys", now=door.clock.now)


def restored(folder: Path, *more: str, to: str = "new") -> tuple[int, str, Path]:
    """(exit code, what it said, the state directory) of the command."""
    heard = io.StringIO()
    with redirect_stdout(heard), redirect_stderr(heard), pytest.raises(SystemExit) as ended:
        main(["restore", str(folder / "backup"), str(folder / to), "--keys", str(folder / "keys"), *more])
    return int(str(ended.value.code)), heard.getvalue(), folder / to


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hamlet, Path, str]]:
    """A hamlet that was backed up when one resident was bound; its folder, and that resident's token."""
    folder = tmp_path_factory.mktemp("kept")
    with hamlet(folder) as door:
        token = door.bound(NURSE)["token"]
        assert door.client(token).get("/v1/me/code").status_code == 200
        door.cycle()
        kept(door, folder)
        yield door, folder, token


def test_who_was_bound_is_bound_and_tokens_are_new(lived: tuple[Hamlet, Path, str]) -> None:
    door, folder, _ = lived
    code, text, path = restored(folder, "--public", str(door.path / "public"), to="same")
    assert (code, "Nothing differs" in text, is_stopped(path)) == (0, True, False)
    with FrontStore(prepare(path)) as store:
        resident = store.residents()[0]
        assert [d.public for d in store.devices(resident.slot)] == [
            d.public for d in door.city.store.devices(resident.slot)
        ]
        assert store.digest("a") == door.city.store.digest("a"), (
            "receipts of consents are found by the same digests"
        )
    # The key of tokens is another one: a token that was ended after the backup cannot come back to life.
    assert (path / "front" / "token.key").read_bytes() != (door.path / "front" / "token.key").read_bytes()
    with open_state(path) as state:
        assert state.persons_digest(state.person_count()) == door.state.persons_digest(state.person_count())


def test_a_city_that_nobody_compared_does_not_sign(lived: tuple[Hamlet, Path, str]) -> None:
    code, text, path = restored(lived[1], to="alone")
    assert code == 0
    assert is_stopped(path)
    assert "kangma keys DIR resume" in " ".join(text.split())


def test_a_city_of_which_the_world_has_more_is_refused_with_figures(tmp_path: Path) -> None:
    with hamlet(tmp_path) as door:
        taken = kept(door, tmp_path)
        assert taken.manifest.log is not None
        door.cycle({"tests": [result(TEACHER, "S-9", "2022-04-25T18:06:00+08:00", "positive")]})
        public = door.path / "public"
        now = json.loads((public / "latest.json").read_bytes())["log"]["size"]
        code, text, path = restored(tmp_path, "--public", str(public))
        assert (code, path.exists()) == (1, False)
        text = " ".join(text.split())
        assert f"has {now:,} entries, the backup's {taken.manifest.log[0]:,}" in text
        assert f"{now - taken.manifest.log[0]:,} entries are missing" in text
        code, text, path = restored(tmp_path, "--public", str(public), "--read-only")
        assert (code, is_stopped(path)) == (0, True)
        # The other way round: the world has only the beginning of what the backup has.
        shutil.rmtree(tmp_path / "backup")
        shutil.rmtree(tmp_path / "keys")
        kept(door, tmp_path)
        code, text, path = restored(tmp_path, "--public", str(path / "public"), to="ahead")
        assert (code, is_stopped(path)) == (0, False), text
        assert "the beginning of the backup" in " ".join(text.split())


def test_another_citys_public_folder_is_no_comparison(
    lived: tuple[Hamlet, Path, str], tmp_path: Path
) -> None:
    code, _, path = restored(lived[1], "--public", str(tmp_path), to="nothing")
    assert code != 0
    assert not path.exists()


# what a finder has ---------------------------------------------------------------------------------------------------


def holding(folder: Path, needles: dict[str, bytes]) -> set[str]:
    contents = [f.read_bytes() for f in folder.rglob("*") if f.is_file()]
    return {name for name, needle in needles.items() if any(needle in content for content in contents)}


def test_no_key_and_nobodys_name_is_in_a_backup(lived: tuple[Hamlet, Path, str]) -> None:
    door, folder, _ = lived
    files = [*(door.path / "keys").iterdir(), *(door.path / "signer" / "keys").iterdir()]
    files += [
        *(door.path / "root").iterdir(),
        *(door.path / "front").glob("*.key"),
        door.path / "signer" / "index.key",
    ]
    needles = {str(f): f.read_bytes() for f in files}
    needles["decoys"] = door.city.store._decoys
    needles |= {p.name: p.name.encode() for p in EVERYBODY}
    needles |= {p.id_number: p.id_number.encode() for p in EVERYBODY} | {
        p.phone: p.phone.encode() for p in EVERYBODY
    }
    assert holding(folder / "backup", needles) == set()
    assert {"decoys", *map(str, files)} <= holding(door.path, needles), (
        "the control: the living city has them"
    )
    assert all(f.stat().st_mode & 0o077 == 0 for f in (folder / "keys").rglob("*"))


# damage --------------------------------------------------------------------------------------------------------------


def test_whatever_is_damaged_is_refused_and_nothing_is_left(
    lived: tuple[Hamlet, Path, str], tmp_path: Path
) -> None:
    folder = lived[1]

    def refused(what: str, *, of: str = "backup") -> None:
        with pytest.raises((Corrupt, Refused), match=what):
            restore(tmp_path / "backup", tmp_path / "new", tmp_path / "keys", reason="a test", now=0)
        assert not (tmp_path / "new").exists()
        fresh(of)

    def fresh(*names: str) -> None:
        for name in filter(None, names):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
            shutil.copytree(folder / name, tmp_path / name)

    fresh("backup", "keys")
    state = tmp_path / "backup" / "state"
    for path in ("registry.sqlite", "front/front.sqlite", "signer/book", "public/checkpoint", "persons.keys"):
        content = bytearray((state / path).read_bytes())
        content[len(content) // 2] ^= 1
        (state / path).write_bytes(content)
        refused("damaged")
        (state / path).write_bytes((state / path).read_bytes()[:-1])
        refused("bytes, not")
        (state / path).unlink()
        refused("missing")
    (state / "signer" / "more").write_bytes(b"")
    refused("not of the backup")
    (tmp_path / "backup" / "more").write_bytes(b"")
    refused("not of the backup")
    link = state / "city.json"
    link.rename(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    refused("not a plain file")
    manifest = tmp_path / "backup" / MANIFEST
    content = manifest.read_bytes()
    for at in range(0, len(content), 397):
        manifest.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused(".", of="")
    manifest.write_bytes(content.replace(b"kangma backup 1", b"kangma backup 2"))
    refused("another format")
    manifest.unlink()
    refused("never finished")
    # Whoever changes a file and every digest to fit has still not the city's keys.
    first, _, _, line = content.split(b"\n", 3)
    line = line.replace(b'"generation": ', b'"generation": 1')
    digest = module.hashlib.sha256(line).hexdigest().encode()
    manifest.write_bytes(b"\n".join([first, digest, b"0" * 64, line]))
    refused("without the city's keys")
    vault = tmp_path / "keys" / "keys" / "vault.key"
    vault.write_bytes(bytes(32))
    refused("not the key", of="keys")
    vault.unlink()
    refused("not in the keys folder", of="keys")
    vault.chmod(0o644)
    refused("open to others", of="keys")
    restore(tmp_path / "backup", tmp_path / "new", tmp_path / "keys", reason="a test", now=0)


def test_a_file_that_nobody_knows_is_told(door: Hamlet, tmp_path: Path) -> None:
    assert kept(door, tmp_path).unknown == ()
    (door.path / "front" / "new.db").write_bytes(b"?")
    (door.path / "notes.txt").write_bytes(b"?")
    (tmp_path / "two").mkdir()
    assert kept(door, tmp_path / "two").unknown == ("notes.txt", "front/new.db")


# the order -----------------------------------------------------------------------------------------------------------


def taken_amid(door: Hamlet, folder: Path, monkeypatch: pytest.MonkeyPatch, *, wrong_way: bool) -> str:
    """A batch is sent, held or taken, in the middle of a backup; what the restored city makes of everybody's receipts."""
    laboratory = registered(door, "north-lab", "source:tests")
    http, n = laboratory.http(), iter(range(100))

    def one_more() -> None:
        row = result(NURSE, f"S-{next(n)}", "2022-04-25T18:00:00+08:00")
        assert send(http, "tests", lines([row])).status_code == 201

    one_more()
    front = module._front_door
    original = module._copy

    def late(path: Path, staged: module._Staged, to: Path) -> object:
        one_more()
        if wrong_way:
            front(path, staged)
        return original(path, staged, to)

    def early(path: Path, staged: module._Staged) -> None:
        if not wrong_way:
            front(path, staged)
        one_more()

    monkeypatch.setattr(module, "_front_door", early)
    monkeypatch.setattr(module, "_copy", late)
    kept(door, folder)
    monkeypatch.undo()
    restore(folder / "backup", folder / "new", folder / "keys", reason="a test", now=door.clock.now)
    with closing(sqlite3.connect(folder / "new" / "front" / "front.sqlite")) as on:
        receipts = [r for (r,) in on.execute("SELECT receipt FROM submissions WHERE receipt IS NOT NULL")]
    assert receipts
    with open_state(folder / "new") as state, FrontStore(prepare(folder / "new")) as store:
        submissions = Submissions(state, store)
        client = next(c for c in submissions._clients.all() if c.name == "north-lab")
        try:
            for receipt in receipts:
                submissions.receipt(client, receipt)
        except NoReceipt:
            return "a receipt that the registry does not have"
        finally:
            submissions.close()
    return "whole"


def test_every_receipt_in_a_backup_is_in_its_registry(
    door: Hamlet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taken_amid(door, tmp_path, monkeypatch, wrong_way=False) == "whole"


def test_the_other_order_is_caught(door: Hamlet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: registry first, front door after it."""
    assert taken_amid(door, tmp_path, monkeypatch, wrong_way=True) != "whole"
