"""A backup of a living city: one folder whose files belong to one moment, taken while everything goes on.

What is written while we look, and why the order is as it is (docs/formats/backup.md has the same in full):
 1 files of scan-ins are linked, and their lengths noted; sealed batches of `front/held` are linked, the SQLite files of
   `front/` are pinned (a read transaction, which shows what was there when it began), and the sealed batches are linked
   once more. The front door first: it names persons and receipts of the registry, and the registry names nothing of the
   front door's. A registry that is newer is what a crash between two steps of `kangma.store.submissions` leaves, and that
   mends itself; one that is older would lack a receipt that somebody holds.
 2 under the state's lock and the lock of the keys: registry and vault are pinned, every file that a row of the registry
   names is linked, with releases, public folder and signer's book; salts are copied, which are written in place; of
   person keys and journal, which are appended to, the length is noted. No release and no deletion falls into this.
 3 the locks are let go. All of it is copied, hashed and fsynced.
 4 keys, where asked for, in a folder of their own; and last, by rename, the manifest. A folder without it is no backup.
Links lie in `spool/`, claimed: what a kill leaves there is swept by the next program that opens the state.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kangma.errors import Code, Corrupt, Refused, Unavailable, Where
from kangma.signing.trust import decode_root, open_trust
from kangma.store.durable import (
    Claim,
    WriterLock,
    fsync_file,
    fsync_folder,
    require_empty,
    unavailable_when_the_disk_is,
    write_file,
)
from kangma.store.front import FILE as FRONT_FILE
from kangma.store.front import FOLDER as FRONT
from kangma.store.front import TOKEN_KEY
from kangma.store.keys import make_key_folder, read_secret, write_secret
from kangma.store.sealed import FOLDER as SEALED
from kangma.store.state import State
from kangma.store.submissions import HELD
from kangma.terms import Moment

FORMAT = "kangma backup 1\n"
MANIFEST, FILES = "KANGMA-BACKUP", "state"
VAULT_KEY = "keys/vault.key"
#: The secret of front.sqlite by which digests are keyed: taken out of the copy, and kept as a key beside the others.
DECOYS = "front/decoys.key"
MOST_KEY = 65_536
PERSON, RECORD = 16, 64  # bytes of a person key, and of a record of the signer's journal

#: What a state directory has and a backup leaves out: derived, of this machine or this moment only, or never for another
#: disk (raw rows of senders, letters of a city that is tried out).
LEFT_OUT = {
    "", "KANGMA", "lock", "columns", "derived", "policy", "spool", "tmp", "log", "registry.sqlite", "vault.sqlite",
    "persons.keys", "segments", "inbox", "releases", "public", "signer", "front", "keys", "root", "city.json", "rejects",
    "quarantine",
}  # fmt: skip
_SIGNER_FILES = ("root", "trust", "book", "book.before", "stopped")
_SIGNER_KNOWN = {
    *_SIGNER_FILES,
    "keys",
    "index.key",
    "salts",
    "journal",
    "orders",
    "lock",
    "at-work",
    "socket",
}
_FRONT_KNOWN = {
    "codes.slots",
    "tokens.turns",
    "sent.ndjson",
    "events.ndjson",
    "signals",
    "register.json",
    "locks",
    HELD,
    "scans",
    SEALED,
}
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `files`: path in the state directory → (bytes, SHA-256 hex); `keys`: path of each key
    → a check value that tells the right key from any other, and nothing of it. `log`: size and root (hex) of the log with
    the last release in it."""

    at: Moment
    schema: str
    front: str | None
    root: str | None
    origin: str | None
    trust: int
    release: int
    log: tuple[int, str] | None
    generation: int
    persons: int
    journal: int
    keys: Mapping[str, str]
    files: Mapping[str, tuple[int, str]]

    def to_bytes(self, vault_key: bytes) -> bytes:
        """The file: format, SHA-256 and HMAC of the last line, and the last line."""
        said = {name: getattr(self, name) for name in self.__slots__}
        line = json.dumps(said, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        return f"{FORMAT}{hashlib.sha256(line).hexdigest()}\n{seal_of(line, vault_key)}\n".encode() + line


@dataclass(frozen=True, slots=True)
class Taken:
    """What was done: the manifest, bytes and files, seconds in all and under the lock, and names in the state directory
    that nobody here knows and that were left out."""

    manifest: Manifest
    bytes: int
    seconds: float
    locked: float
    unknown: tuple[str, ...]


def seal_of(line: bytes, vault_key: bytes) -> str:
    """HMAC-SHA-256 (hex) of a manifest's last line: nobody without the vault key changes file and digest."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"kangma backup: manifest").derive(vault_key)
    return hmac.new(key, line, hashlib.sha256).hexdigest()


def check_value(path: str, content: bytes) -> str:
    """32 hex digits by which a key is known again; of 32 random bytes they tell nothing."""
    return hmac.new(content, b"kangma backup: key " + path.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass
class _Staged:
    """What is to be copied, by path. `linked`: a link of ours; `clipped`: how many bytes of a link; `growing`: bytes
    that count, read where they lie; `pinned`: a connection in a read transaction."""

    folder: Path
    linked: dict[str, Path] = field(default_factory=dict)
    clipped: dict[str, int] = field(default_factory=dict)
    growing: dict[str, int] = field(default_factory=dict)
    pinned: dict[str, sqlite3.Connection] = field(default_factory=dict)

    def link(self, root: Path, path: str) -> None:
        """A file that is gone by now is not there, and that is all."""
        to = self.folder / str(len(self.linked))
        with suppress(FileNotFoundError, FileExistsError):
            os.link(root / path, to, follow_symlinks=False)
            self.linked[path] = to

    def again(self, root: Path, path: str) -> None:
        if path not in self.linked:
            self.link(root, path)

    def close(self) -> None:
        for connection in self.pinned.values():
            connection.close()


def take(state: State, to: Path, *, keys: Path | None = None, now: Moment) -> Taken:
    """A backup of this state in the folder `to`, and its keys in the folder `keys`; durable on return.

    Conflict when one of the two exists and is not an empty folder, Refused when one lies in the other or in the state.
    Unavailable when the state's lock is kept for ten minutes, or a disk is full: then `to` holds no manifest, which makes
    it no backup.
    """
    state.require_writable()
    started = time.perf_counter()
    folders = [to, *([] if keys is None else [keys])]
    _apart(state.path, folders)
    for folder in folders:
        require_empty(folder)
    with unavailable_when_the_disk_is(), ExitStack() as held:
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        claim = Claim(state.path / "spool" / token_hex(8))
        held.callback(claim.release)
        staged = _Staged(claim.folder)
        held.callback(staged.close)
        _front_door(state.path, staged)
        with state.lock.hold(), _keys_stand_still(state.path):
            locked = time.perf_counter()
            said = _under_the_lock(state.path, staged)
            secret = _keys_of(state.path)
            locked = time.perf_counter() - locked
        files, decoys = _copy(state.path, staged, to / FILES)
        if decoys is not None:
            secret[DECOYS] = decoys
        manifest = Manifest(
            at=now, keys={path: check_value(path, content) for path, content in secret.items()}, files=files,
            **said,
        )  # fmt: skip
        if keys is not None:
            _write_keys(keys, secret)
        write_file(to / MANIFEST, manifest.to_bytes(secret[VAULT_KEY]), mode=0o600)
        fsync_folder(to.parent)
    total = sum(size for size, _ in files.values())
    return Taken(manifest, total, time.perf_counter() - started, locked, tuple(_unknown(state.path)))


def _apart(state: Path, folders: list[Path]) -> None:
    places = [state.resolve(), *(f.resolve() for f in folders)]
    for i, one in enumerate(places):
        for other in places[i + 1 :]:
            if one == other or one in other.parents or other in one.parents:
                raise Refused(
                    Code.BAD_VALUE, Where(file=other.name), "city, backup and keys lie apart from each other"
                )


# 1: the front door ---------------------------------------------------------------------------------------------------


def _front_door(state: Path, staged: _Staged) -> None:
    """A batch that the front door calls held lies in `front/held` until after it is called otherwise: linked before and
    after, it is there, unless two people let it go between two statements of ours. Then all of it is done again."""
    front = state / FRONT
    if not front.is_dir():
        return
    for file in sorted(front.glob("scans/*.scans")):
        path = f"{FRONT}/scans/{file.name}"
        staged.link(state, path)
        if (
            path in staged.linked
        ):  # appended to: whoever scans in from here on may be nobody to what is pinned below
            staged.clipped[path] = _size(staged.linked[path])
    for file in sorted((*front.glob("scans/*.damaged"), *front.glob("*.pub"))):
        staged.link(state, str(file.relative_to(state)))
    for _ in range(_TRIES):
        _sealed(state, staged)
        for file in sorted(front.glob("*.sqlite")):
            staged.pinned[f"{FRONT}/{file.name}"] = _pinned(file)
        _sealed(state, staged)
        if all(f"{FRONT}/{HELD}/{name}.sealed" in staged.linked for name in _held(staged)):
            return
        for path in list(staged.pinned):
            staged.pinned.pop(path).close()
    raise Unavailable("held batches are let go faster than they can be kept: try again")


def _sealed(state: Path, staged: _Staged) -> None:
    for file in sorted((state / FRONT / HELD).glob("*.sealed")):
        staged.again(state, f"{FRONT}/{HELD}/{file.name}")


def _held(staged: _Staged) -> list[str]:
    front = staged.pinned.get(f"{FRONT}/{FRONT_FILE}")
    if front is None or not _has(front, "submissions"):
        return []
    return [name for (name,) in front.execute("SELECT submission FROM submissions WHERE state = 'held'")]


def _has(on: sqlite3.Connection, table: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(on.execute(query, (table,)).fetchone()[0])


def _pinned(file: Path) -> sqlite3.Connection:
    """A connection that sees the file as it is now, however long it is kept; writers go on meanwhile (WAL)."""
    on = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
    on.execute("BEGIN")
    on.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first read fixes what is seen
    return on


# 2: under the lock ---------------------------------------------------------------------------------------------------


@contextmanager
def _keys_stand_still(state: Path) -> Iterator[None]:
    """No trust list is installed meanwhile: it goes into `signer/` and then into `public/`."""
    if not (state / "signer").is_dir():
        yield
        return
    with WriterLock(state / "signer" / "lock").hold(wait=60):
        yield


def _under_the_lock(state: Path, staged: _Staged) -> dict[str, Any]:
    """Everything that moves with a release; what the manifest says of it."""
    registry = staged.pinned["registry.sqlite"] = _pinned(state / "registry.sqlite")
    staged.pinned["vault.sqlite"] = _pinned(state / "vault.sqlite")
    _sealed(
        state, staged
    )  # of a batch that the registry has counted, and the front door above had only begun
    counters = dict(registry.execute("SELECT name, value FROM counters").fetchall())
    schema = registry.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    last = registry.execute(
        "SELECT number, tree_size, tree_root FROM releases ORDER BY number DESC LIMIT 1"
    ).fetchone()
    paths = [f"segments/{f}" for (f,) in registry.execute("SELECT file FROM segments WHERE dropped IS NULL")]
    paths += [f"inbox/{f}" for (f,) in registry.execute("SELECT file FROM batches WHERE state = 'accepted'")]
    for path in paths:
        staged.link(state, path)
        if path not in staged.linked:
            raise Corrupt(f"the registry names a file that is not there: {path}")
    for folder in ("releases", "public", "signer/orders"):
        for path in _tree(state, folder):
            # The first is derived, under secrets that no backup has; the second is another city's, and is fetched again.
            if not path.startswith((f"public/{SEALED}/", "public/elsewhere/")):
                staged.link(state, path)
    for path in ("city.json", *(f"signer/{name}" for name in _SIGNER_FILES)):
        staged.link(state, path)
    for folder in ("rejects", "quarantine"):
        for file in sorted((state / folder).glob("*.json")):
            staged.link(state, f"{folder}/{file.name}")
    if (state / "signer" / "salts").exists():
        # Written in place with each release: after the lock somebody's may be half there.
        to = staged.folder / "salts"
        shutil.copyfile(state / "signer" / "salts", to)
        staged.linked["signer/salts"] = to
    persons = int(counters.get("persons", 0))
    if persons:
        staged.growing["persons.keys"] = persons * PERSON
    journal = _size(state / "signer" / "journal") // RECORD
    if (state / "signer" / "journal").exists():
        staged.growing["signer/journal"] = journal * RECORD
    root, origin, trust = _who(state)
    front = staged.pinned.get(f"{FRONT}/{FRONT_FILE}")
    form = None
    if front is not None and _has(front, "settings"):
        form = front.execute("SELECT value FROM settings WHERE name = 'format'").fetchone()[0].decode()
    return {
        "schema": schema,
        "front": form,
        "root": root,
        "origin": origin,
        "trust": trust,
        "release": 0 if last is None else last[0],
        "log": None if last is None or last[1] is None else (last[1], last[2]),
        "generation": int(counters.get("generation", 0)),
        "persons": persons,
        "journal": journal,
    }


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _tree(state: Path, folder: str) -> Iterator[str]:
    """Paths of all files below, without those half written."""
    for where, folders, files in os.walk(state / folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield str((Path(where) / name).relative_to(state))


def _who(state: Path) -> tuple[str | None, str | None, int]:
    """Root fingerprint, the log's origin and the trust list's version; nothing of a city without keys."""
    try:
        root = decode_root((state / "signer" / "root").read_bytes())
    except FileNotFoundError:
        return None, None, 0
    try:
        trust = open_trust((state / "signer" / "trust").read_bytes()).verify(root)
    except (OSError, Refused) as problem:
        raise Corrupt("signer/trust cannot be read") from problem
    return root.fingerprint.hex(), trust.publisher.origin, trust.version


def _keys_of(state: Path) -> dict[str, bytes]:
    """Every key of the state directory but the one of residents' tokens: a restored city makes a new one, so that no
    token which was ended since comes back to life."""
    found = [*(state / "keys").glob("*.key"), *(state / "signer" / "keys").glob("*.pem")]
    found += [*(state / "root").glob("*.pem"), *(state / FRONT).glob("*.key")]
    found += [f for f in [state / "signer" / "index.key"] if f.exists()]
    paths = sorted(
        str(f.relative_to(state)) for f in found if not f.name.startswith(".") and f.name != TOKEN_KEY
    )
    return {path: read_secret(state / path, most=MOST_KEY) for path in paths}


# 3 and 4: copies -----------------------------------------------------------------------------------------------------


def _copy(state: Path, staged: _Staged, to: Path) -> tuple[dict[str, tuple[int, str]], bytes | None]:
    """Everything staged, durable below `to`; size and digest of each, and the secret that was taken out."""
    to.mkdir(mode=0o700)
    files: dict[str, tuple[int, str]] = {}
    folders = {to}
    decoys = None
    for path, link in staged.linked.items():
        files[path] = copy_file(link, _room(to, path, folders), staged.clipped.get(path))
    for path, size in staged.growing.items():
        files[path] = copy_file(state / path, _room(to, path, folders), size)
        if files[path][0] != size:
            raise Corrupt(f"{path} became shorter while it was copied")
    for path, on in staged.pinned.items():
        final = _room(to, path, folders)
        with closing(sqlite3.connect(final, isolation_level=None)) as copied:
            final.chmod(0o600)
            copied.execute("PRAGMA secure_delete=ON")
            on.backup(copied)
            # One file, which says the same without a log beside it.
            copied.execute("PRAGMA journal_mode=DELETE")
            if path == f"{FRONT}/{FRONT_FILE}":
                decoys = _without_decoys(copied)
        on.close()
        files[path] = digest_of(final)
    for path in files:
        fsync_file(to / path)
    for folder in sorted(folders):
        fsync_folder(folder)
    return files, decoys


def _without_decoys(on: sqlite3.Connection) -> bytes | None:
    found = on.execute("SELECT value FROM settings WHERE name = 'decoys'").fetchone()
    if found is None:
        return None
    on.execute("UPDATE settings SET value = x'' WHERE name = 'decoys'")
    return bytes(found[0])


def _room(to: Path, path: str, folders: set[Path]) -> Path:
    final = to / path
    for parent in final.relative_to(to).parents:
        folder = to / parent
        if folder not in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders.add(folder)
    return final


def copy_file(source: Path, final: Path, most: int | None = None) -> tuple[int, str]:
    """`final` is a copy of the first `most` bytes, 0600, not yet fsynced; their number and SHA-256 (hex)."""
    said, size = hashlib.sha256(), 0
    fd = os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb", buffering=0) as file, os.fdopen(fd, "wb", buffering=0) as out:
        while some := file.read(1 << 20 if most is None else min(1 << 20, most - size)):
            said.update(some)
            size += len(some)
            view = memoryview(some)
            while view:
                view = view[out.write(view) :]
    return size, said.hexdigest()


def digest_of(file: Path) -> tuple[int, str]:
    """(bytes, SHA-256 hex) of a file."""
    with file.open("rb") as f:
        said = hashlib.file_digest(f, "sha256").hexdigest()
    return file.stat().st_size, said


def _write_keys(folder: Path, secret: Mapping[str, bytes]) -> None:
    for path, content in secret.items():
        parent = (folder / path).parent
        for made in [p for p in (parent, *parent.parents) if folder in p.parents][::-1]:
            if not made.exists():
                make_key_folder(made)
        write_secret(folder / path, content)
    fsync_folder(folder)
    fsync_folder(folder.parent)


def _unknown(state: Path) -> Iterator[str]:
    """Names that no rule above speaks of: something new, or somebody's own."""
    for file in sorted(state.iterdir()):
        if _stem(file.name) not in LEFT_OUT and not file.name.startswith("."):
            yield file.name
    for folder, known in (("signer", _SIGNER_KNOWN), (FRONT, _FRONT_KNOWN)):
        for file in sorted((state / folder).iterdir() if (state / folder).is_dir() else ()):
            name = _stem(file.name)
            if name in known or name.startswith(("draft-", ".")):
                continue
            if folder == FRONT and name.endswith((".sqlite", ".key", ".pub", ".lock")):
                continue
            yield f"{folder}/{file.name}"


def _stem(name: str) -> str:
    for end in ("-wal", "-shm"):
        name = name.removesuffix(end)
    return name
