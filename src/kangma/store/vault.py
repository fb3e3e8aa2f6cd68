"""The identity vault: who a person key is, sealed, in a database file of its own.

A row is found by a keyed function of the person key and sealed by AES-256-GCM with the person key as associated data,
both under keys that HKDF derives from `vault.key`. The file alone therefore shows neither a name nor, without the vault
key, which row belongs to which person key elsewhere; a sealed row moved to another person does not open.
"""

from __future__ import annotations

import hashlib
import json
import secrets as randomness
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kangma.errors import Corrupt
from kangma.store.registry import as_ours, empty_journal, open_engine

PersonKey = bytes  # 16 bytes
_Row = TypeVar("_Row")

_metadata = sa.MetaData()

#: part 0 is the document (type, number), which its person key fixes; part 1 what a `people` row said last.
_identities = sa.Table(
    "identities",
    _metadata,
    sa.Column("row", sa.LargeBinary(16), primary_key=True),
    sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # 12 bytes nonce, then ciphertext and tag
)

DOCUMENT, CONTACT = 0, 1
_NONCE = 12
_PAD = 64  # sealed lengths are multiples of this, so that they say little about a name


@dataclass(frozen=True, slots=True)
class Identity:
    """What the vault knows of a person. Cannot be printed: its `repr` says nothing."""

    id_type: str | None
    id_number: str | None
    name: str | None
    phone: str | None

    def __repr__(self) -> str:
        return "Identity(sealed)"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One row ready for the vault: ciphertext only, safe on any disk."""

    row: bytes
    part: int
    sealed: bytes


class Vault:
    """Sealed identities in one SQLite file. What `put` or `shred` did is durable on return; both may be repeated."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._engine = open_engine(path)
        self._seal = AESGCM(_derive(key, b"kangma vault: seal"))
        self._row_key = _derive(key, b"kangma vault: row")
        self._reading = self._engine.execution_options(writes=False)
        with as_ours(), self._reading.begin() as on:
            made = sa.inspect(on).has_table(_identities.name)
        if not made:
            with as_ours(), self._engine.begin() as on:
                _metadata.create_all(on)

    def row(self, person: PersonKey) -> bytes:
        """The name of a person's rows in the vault, 16 bytes; means nothing without the vault key."""
        return hashlib.blake2b(person, key=self._row_key, digest_size=16).digest()

    def seal_many(self, secrets: pa.RecordBatch, *, known: set[bytes] | None = None) -> list[Sealed]:
        """Sealed rows for a batch of secrets (person, id_type, id_number, name?, phone?), each person's document once.

        `known` holds the rows whose document need not be sealed again; it grows by those sealed here.
        """
        known = set() if known is None else known
        columns = {n: secrets.column(n).to_pylist() for n in secrets.schema.names}
        nothing: list[str | None] = [None] * secrets.num_rows
        names, phones = columns.get("name", nothing), columns.get("phone", nothing)
        out: dict[tuple[bytes, int], Sealed] = {}
        for person, id_type, id_number, name, phone in zip(
            columns["person"], columns["id_type"], columns["id_number"], names, phones, strict=True
        ):
            row = self.row(person)
            if row not in known and id_number is not None:
                known.add(row)
                content = {"id_type": id_type, "id_number": id_number}
                out[row, DOCUMENT] = self._sealed(person, row, DOCUMENT, content)
            if name is not None or phone is not None:
                out[row, CONTACT] = self._sealed(person, row, CONTACT, {"name": name, "phone": phone})
        return list(out.values())

    def _sealed(self, person: PersonKey, row: bytes, part: int, content: dict[str, str | None]) -> Sealed:
        plain = json.dumps(content, ensure_ascii=False).encode()
        plain += b" " * (-len(plain) % _PAD)
        nonce = randomness.token_bytes(_NONCE)
        return Sealed(row, part, nonce + self._seal.encrypt(nonce, plain, _bound_to(person, part)))

    def known(self, rows: Iterable[bytes]) -> set[bytes]:
        """Those of `rows` whose document is sealed already."""
        found: set[bytes] = set()
        with as_ours(), self._reading.begin() as on:
            for some in _chunks(list(rows), 500):
                query = sa.select(_identities.c.row).where(
                    _identities.c.row.in_(some), _identities.c.part == DOCUMENT
                )
                found.update(on.execute(query).scalars())
        return found

    def put(self, rows: Iterable[Sealed]) -> int:
        """Rows are in the vault, durable on return; a row that was there is replaced. How many there were."""
        # In the order of the tree: random places in a big one would be read and written again and again.
        ordered = sorted({(s.row, s.part): s for s in rows}.values(), key=lambda s: (s.row, s.part))
        count = len(ordered)
        c = _identities.c
        with as_ours(), self._engine.begin() as on:
            for some in _chunks(ordered, 500):
                query = sa.select(c.row, c.part).where(c.row.in_([s.row for s in some]))
                there = set(on.execute(query).tuples()) & {(s.row, s.part) for s in some}
                for row, part in there:
                    on.execute(sa.delete(_identities).where(c.row == row, c.part == part))
            for some in _chunks(ordered, 50_000):
                on.execute(
                    sa.insert(_identities), [{"row": s.row, "part": s.part, "sealed": s.sealed} for s in some]
                )
        return count

    def open(self, person: PersonKey) -> Identity | None:
        """The identity of a person, None when the vault has none.

        Raises Corrupt when a row does not open: it was changed, moved, or sealed under another key.
        """
        row = self.row(person)
        query = sa.select(_identities.c.part, _identities.c.sealed).where(_identities.c.row == row)
        with as_ours(), self._reading.begin() as on:
            found = on.execute(query).all()
        content: dict[str, str | None] = {}
        for part, sealed in found:
            try:
                plain = self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(person, part))
            except InvalidTag:
                raise Corrupt("a row of the vault does not open") from None
            content.update(json.loads(plain))
        if not content:
            return None
        return Identity(
            content.get("id_type"), content.get("id_number"), content.get("name"), content.get("phone")
        )

    def seal(self, about: bytes, content: bytes) -> bytes:
        """Words of a person or about one, sealed for another file and bound to what they are about (not 17 bytes: those
        are rows of this one)."""
        assert len(about) != 17
        nonce = randomness.token_bytes(_NONCE)
        return nonce + self._seal.encrypt(nonce, content + b" " * (-len(content) % _PAD), about)

    def unseal(self, about: bytes, sealed: bytes) -> bytes:
        """What was sealed, with up to 63 spaces at its end. Corrupt when it was changed, moved, or sealed under
        another key."""
        try:
            return self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
        except InvalidTag:
            raise Corrupt("sealed words do not open") from None

    def shred(self, persons: Iterable[PersonKey]) -> int:
        """The identities of these persons are gone from the file and its journal; how many rows that were."""
        rows = [self.row(p) for p in persons]
        gone = 0
        with as_ours(), self._engine.begin() as on:
            for some in _chunks(rows, 500):
                gone += on.execute(sa.delete(_identities).where(_identities.c.row.in_(some))).rowcount
        empty_journal(self._engine)
        return gone

    def close(self) -> None:
        self._engine.dispose()


def _bound_to(person: PersonKey, part: int) -> bytes:
    return person + bytes([part])


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _chunks(rows: list[_Row], size: int) -> Iterator[list[_Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
