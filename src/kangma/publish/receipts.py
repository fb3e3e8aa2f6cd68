"""What a resident is given of their own turns: enough to find each in the log, and to prove it to whom they like."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kangma.errors import Corrupt, Unavailable
from kangma.publish.credentials import key_of
from kangma.publish.release import folder_of
from kangma.store.public_reader import OnDisk
from kangma.store.releases import Release, releases
from kangma.store.state import State
from kangma.translog import entries, tiles
from kangma.translog.entries import Event, Turn
from kangma.translog.receipt import Receipt

MOST = 1 << 20  # bytes of one file of a log
SALT = 32


def receipts(state: State, person: int) -> Iterator[tuple[Release, Receipt]]:
    """The receipt of each turn of a person, oldest first, for the log as it is now.

    Raises Corrupt when a turn of theirs is not in the log: its salt is gone, or somebody changed one of the two.
    """
    disk = OnDisk(state.path / "public")

    def read(path: str) -> bytes:
        content = disk.read(path, MOST)
        if content is None:
            raise FileNotFoundError(path)
        return content

    made = [x for x in releases(state.registry) if x.head is not None and x.announced]
    if not made:
        raise Unavailable("nothing was published yet")
    head, checkpoint = made[-1].head, read("checkpoint")
    assert head is not None
    key, salt = key_of(state, person), _salt(state, person)
    for release in made:
        table = pq.read_table(
            folder_of(state, release.number) / "turns.parquet", filters=pc.field("person") == person
        )
        for row in table.drop_columns(["person"]).to_pylist():
            turn = Turn(key, release.number, **row).to_bytes()
            opening = entries.opening(salt, release.number)
            index = _index(read, release, head.size, entries.commitment(opening, turn))
            proof = tuple(tiles.inclusion(read, index, head.size))
            yield release, Receipt(opening, turn, index, proof, checkpoint)


def _index(read: tiles.Read, release: Release, size: int, leaf: bytes) -> int:
    """Where a turn of a release stands: its entry closes the release, and says where the turns begin."""
    assert release.head is not None
    (last,) = tiles.entries_of(read, release.head.size - 1, release.head.size, size)
    event = entries.parse(last)
    if not isinstance(event, Event) or event.type != "release":
        raise Corrupt(f"release {release.number} is not where the registry says")
    first, count = event.content["turns"]
    try:
        return int(first) + tiles.entries_of(read, first, first + count, size).index(leaf)
    except ValueError:
        raise Corrupt(f"a turn of release {release.number} is not in the log") from None


def _salt(state: State, person: int) -> bytes:
    file = state.path / "signer" / "salts"
    if not file.exists() or file.stat().st_size < (person + 1) * SALT:
        return bytes(SALT)
    return bytes(np.memmap(file, np.uint8, "r")[person * SALT : (person + 1) * SALT])
