"""Restoring a backup: everything is checked before anything is used, and the mark of a state directory is written last.

A restored city never signs by itself. It has the kill switch on from the moment at which it is a state directory; whoever
restores lifts it when the audit is clean and the world has no entry that the backup lacks (`kangma.cli.restore`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kangma.errors import Code, Corrupt, Refused, Unavailable, Where
from kangma.signing.trust import MAX_BYTES, Use, decode_root, open_trust
from kangma.store import migrations
from kangma.store.backup import (
    DECOYS,
    FILES,
    FORMAT,
    MANIFEST,
    MOST_KEY,
    VAULT_KEY,
    Manifest,
    check_value,
    copy_file,
    seal_of,
)
from kangma.store.durable import (
    fsync_file,
    fsync_folder,
    remove_folder,
    require_empty,
    unavailable_when_the_disk_is,
    write_file,
)
from kangma.store.front import FILE as FRONT_FILE
from kangma.store.front import FOLDER as FRONT
from kangma.store.front_schema import FORMAT as FRONT_FORMAT
from kangma.store.keys import make_key_folder, read_secret, write_secret
from kangma.store.public_reader import OnDisk, PublicFolder
from kangma.store.signing import stop_signing
from kangma.store.state import FOLDERS, MARK, SECRET_FOLDERS
from kangma.terms import Moment
from kangma.translog import tiles
from kangma.translog.checkpoint import Checkpoint, open_checkpoint

_MOST_MANIFEST = 64 << 20
_MOST_FILE = 32 << 20  # of a public folder
#: A signing key that is missing can be replaced by another one; without any other, the city cannot go on.
_REPLACEABLE = ("signer/keys/", "root/")


class World(StrEnum):
    """What the public has, beside a backup."""

    SAME = "same"
    BEHIND = "behind"  # the public has less, and it is the beginning of what the backup has
    AHEAD = "ahead"  # the public has more, and the backup's log is its beginning
    FORK = "fork"  # neither is the beginning of the other


@dataclass(frozen=True, slots=True)
class Compared:
    """The two logs: entries of the public's and of the backup's, versions of their trust lists."""

    how: World
    public: int
    backup: int
    trust_public: int
    trust_backup: int

    @property
    def may_go_on(self) -> bool:
        """Whether what is signed from here on continues what the public has."""
        return self.how in (World.SAME, World.BEHIND) and self.trust_public <= self.trust_backup


@dataclass(frozen=True, slots=True)
class Restored:
    """`missing`: private keys that the keys folder did not have, and that can be replaced."""

    manifest: Manifest
    bytes: int
    missing: tuple[str, ...]
    was_stopped: bool  # the city had been stopped when the backup was taken


def read_manifest(backup: Path) -> tuple[Manifest, bytes, str]:
    """The manifest, its last line, and the seal on it, which only the keys can check.

    Refused (unreadable) for a folder that is no backup, or of another format or a newer program; Corrupt for damage.
    """
    try:
        with (backup / MANIFEST).open("rb") as file:
            content = file.read(_MOST_MANIFEST + 1)
    except OSError:
        hint = f"no {MANIFEST} in it: not a backup, or one that was never finished"
        raise Refused(Code.UNREADABLE, Where(file=backup.name), hint) from None
    first, _, rest = content.partition(b"\n")
    if not first.startswith(b"kangma backup "):
        raise Refused(Code.UNREADABLE, Where(file=MANIFEST), "not the manifest of a backup")
    if first + b"\n" != FORMAT.encode():
        raise Refused(Code.UNREADABLE, Where(file=MANIFEST), "a backup of another format")
    digest, _, rest = rest.partition(b"\n")
    seal, _, line = rest.partition(b"\n")
    if not hmac.compare_digest(hashlib.sha256(line).hexdigest().encode(), digest):
        raise Corrupt(f"{MANIFEST} is damaged")
    try:
        said: dict[str, Any] = json.loads(line)
        said["files"] = {path: (int(size), str(hashed)) for path, (size, hashed) in said["files"].items()}
        said["log"] = None if said["log"] is None else (int(said["log"][0]), str(said["log"][1]))
        manifest = Manifest(**said)
        ours = all(_is_ours(path) for path in (*manifest.files, *manifest.keys))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Corrupt(f"{MANIFEST} is not what a backup writes") from None
    if not ours:
        raise Corrupt(f"{MANIFEST} names a file outside of the state")
    if manifest.schema > migrations.HEAD or int(manifest.front or "0") > int(FRONT_FORMAT):
        raise Refused(
            Code.UNREADABLE, Where(file=MANIFEST), "made by a newer Kangma: restore it with that one"
        )
    return manifest, line, seal.decode("ascii", "replace")


def _is_ours(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and not any(p in ("", ".", "..") or "\0" in p for p in parts) and parts[0] != "KANGMA"


def compare(backup: Path, manifest: Manifest, public: PublicFolder) -> Compared:
    """The log of the backup beside that of the public. Refused (untrusted) when the public folder is another city's, or
    nobody's; Unavailable when it cannot be read now."""
    if manifest.root is None:
        raise Refused(Code.UNTRUSTED, hint="the backup is of a city that publishes nothing")
    world, trust = _world(public, manifest)
    size, root = manifest.log or (0, "")
    ours = OnDisk(backup / FILES / "public")
    if world.size == size:
        how = World.SAME if world.root.hex() == root else World.FORK
    elif world.size < size:
        how = World.BEHIND if _root(ours, world.size) == world.root else World.FORK
    else:
        how = World.AHEAD if not size or _root(public, size).hex() == root else World.FORK
    return Compared(how, world.size, size, trust, manifest.trust)


def _root(public: PublicFolder, size: int) -> bytes:
    def read(path: str) -> bytes:
        content = public.read(path, _MOST_FILE)
        if content is None:
            raise FileNotFoundError(path)
        return content

    try:
        return tiles.root(read, size)
    except FileNotFoundError as problem:
        raise Unavailable(f"the public folder lacks {problem}") from None
    except (ValueError, Refused):
        return b""


def _world(public: PublicFolder, manifest: Manifest) -> tuple[Checkpoint, int]:
    try:
        files = [public.read(name, MAX_BYTES) for name in ("root", "trust", "checkpoint")]
        if None in files:
            raise Refused(Code.UNREADABLE, hint="no root, trust list or checkpoint there")
        root, trust, checkpoint = (f or b"" for f in files)
        anchor = decode_root(root)
        if anchor.fingerprint.hex() != manifest.root:
            raise Refused(Code.UNTRUSTED, hint="the public folder is another city's")
        believed = open_trust(trust).verify(anchor)
    except ValueError:
        raise Refused(Code.UNREADABLE, hint="not a public folder") from None
    city = believed.publisher
    keys = [k.public for k in city.keys if k.use is Use.LOG and k.revoked_at is None]
    return open_checkpoint(checkpoint, city.origin, *keys), believed.version


def restore(backup: Path, directory: Path, keys: Path, *, reason: str, now: Moment) -> Restored:
    """The backup as the state directory `directory`, durable on return, with the kill switch on (`reason`).

    Conflict when `directory` exists and is not an empty folder. Refused for keys that are missing, open to others or of
    another city; Corrupt for any file that is damaged, cut off, missing or added. Whenever it raises nothing is left; a
    kill leaves a folder without the file `KANGMA`, which no program opens.
    """
    manifest, line, seal = read_manifest(backup)
    secret, missing = _keys(keys, manifest)
    if not hmac.compare_digest(seal_of(line, secret[VAULT_KEY]), seal):
        raise Corrupt(f"{MANIFEST} was written by somebody without the city's keys")
    _as_listed(backup, manifest)
    here, there = directory.resolve(), backup.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise Refused(Code.BAD_VALUE, Where(file=directory.name), "city and backup lie apart from each other")
    require_empty(directory)
    was_there = directory.exists()
    with unavailable_when_the_disk_is():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            directory.chmod(0o700)
            _fill(backup, directory, manifest, secret, now)
            was_stopped = (directory / "signer" / "stopped").exists()
            if manifest.root is not None:
                stop_signing(directory, reason, now=now)
            _settle(directory)
            write_file(directory / "KANGMA", MARK.encode())
            fsync_folder(directory.parent)
        except BaseException:
            (directory / "KANGMA").unlink(missing_ok=True)
            for left in directory.iterdir():
                remove_folder(left) if left.is_dir() else left.unlink()
            if not was_there:
                directory.rmdir()
            raise
    return Restored(manifest, sum(size for size, _ in manifest.files.values()), missing, was_stopped)


def _keys(folder: Path, manifest: Manifest) -> tuple[dict[str, bytes], tuple[str, ...]]:
    secret: dict[str, bytes] = {}
    missing = []
    if VAULT_KEY not in manifest.keys:
        raise Corrupt(f"{MANIFEST} names no {VAULT_KEY}")
    for path, said in sorted(manifest.keys.items()):
        if not (folder / path).exists():
            if path.startswith(_REPLACEABLE):
                missing.append(path)
                continue
            raise Refused(Code.UNKNOWN_KEY, Where(file=path), "not in the keys folder")
        content = read_secret(folder / path, most=MOST_KEY)
        if not hmac.compare_digest(check_value(path, content), said):
            raise Refused(Code.UNKNOWN_KEY, Where(file=path), "not the key of this backup's city")
        secret[path] = content
    return secret, tuple(missing)


def _as_listed(backup: Path, manifest: Manifest) -> None:
    """Exactly the files of the manifest are there, plain files of the right size: looked at before anything is copied."""
    for file in backup.iterdir():
        if file.name not in (FILES, MANIFEST):
            raise Corrupt(f"a file that is not of the backup: {file.name}")
    root, found = backup / FILES, set()
    for where, folders, files in os.walk(root):
        for name in (*files, *(f for f in folders if (Path(where) / f).is_symlink())):
            file = Path(where) / name
            path = str(file.relative_to(root))
            found.add(path)
            said = manifest.files.get(path)
            if said is None:
                raise Corrupt(f"a file that is not of the backup: {path}")
            if file.is_symlink() or not file.is_file():
                raise Corrupt(f"not a plain file: {path}")
            if file.stat().st_size != said[0]:
                raise Corrupt(f"{path} has {file.stat().st_size:,} bytes, not {said[0]:,}")
    for path in manifest.files:
        if path not in found:
            raise Corrupt(f"a file of the backup is missing: {path}")


def _fill(
    backup: Path, directory: Path, manifest: Manifest, secret: Mapping[str, bytes], now: Moment
) -> None:
    for path, said in manifest.files.items():
        _folder(directory, path)
        if copy_file(backup / FILES / path, directory / path) != said:
            raise Corrupt(f"{path} is damaged")
        if path.startswith("public/"):
            (directory / path).chmod(0o644)
    for name in FOLDERS:
        (directory / name).mkdir(exist_ok=True)
    for name in SECRET_FOLDERS:
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    for path, content in secret.items():
        if path != DECOYS:
            _folder(directory, path)
            write_secret(directory / path, content)
    front = directory / FRONT / FRONT_FILE
    if front.exists():
        _front_door(front, secret.get(DECOYS), now)


def _folder(directory: Path, path: str) -> None:
    """The folders above a file: the public ones for everybody, all others for the owner only."""
    above = [directory / p for p in Path(path).parents if p != Path()]
    for folder in reversed(above):
        if not folder.exists():
            if path.startswith("public/"):
                folder.mkdir(mode=0o755)
            else:
                make_key_folder(folder)


def _front_door(file: Path, decoys: bytes | None, now: Moment) -> None:
    """The secret is back; rides about which a partner might ask are over, for consent may have been taken back since."""
    with closing(sqlite3.connect(file)) as on, on:
        on.execute("PRAGMA secure_delete=ON")
        if decoys is not None:
            on.execute("UPDATE settings SET value = ? WHERE name = 'decoys'", (decoys,))
        if on.execute("SELECT count(*) FROM sqlite_master WHERE name = 'rides'").fetchone()[0]:
            on.execute("UPDATE rides SET withdrawn_at = ? WHERE withdrawn_at IS NULL", (now,))


def _settle(directory: Path) -> None:
    for where, _, files in os.walk(directory):
        for name in files:
            fsync_file(Path(where) / name)
        fsync_folder(Path(where))


def let_go_on(directory: Path) -> None:
    """The mark that `restore` left is gone: the audit was clean, and the public has nothing that this city lacks."""
    (directory / "signer" / "stopped").unlink()
    fsync_folder(directory / "signer")
