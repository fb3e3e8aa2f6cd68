"""What storage promises, whatever stores it: what is durable on return, who retries, what may run at once.

The adapters of this folder keep these promises on one machine; tests/store and tests/crash hold them to it. Common to
all: a call that returned is durable, through a power cut; a call that raised changed nothing that anybody sees, and may
be made again by whoever made it. Conflict: read again, then decide again. Unavailable: the same call later. Corrupt:
stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import duckdb
import pyarrow as pa

from kangma.intake.identity import Keyer
from kangma.store.inbox import Receipt
from kangma.store.segments import Absorbed
from kangma.store.vault import Identity, Sealed
from kangma.terms import Moment


class TakesIn(Protocol):
    """The way in for accepted rows: `State.inbox`."""

    def accept(
        self,
        feed: str,
        kind: str,
        tables: Iterable[pa.RecordBatch],
        secrets: Iterable[pa.RecordBatch] = (),
        file_digest: str = "",
        *,
        now: Moment | None = None,
    ) -> Receipt:
        """Acknowledges rows of KINDS[kind].schema. Whoever holds the receipt finds every accepted row after any fault.

        All rows of a call are taken, or none. A row equal to one that is here (same feed, same value in every column)
        is counted `duplicate` and not stored again, so a sender that heard nothing sends the same once more.
        Any number of threads and programs may call at once; they wait for each other. A reader never waits.
        """
        ...


class HoldsEvidence(Protocol):
    """Evidence as columns: `State`."""

    def absorb(self) -> Absorbed:
        """Makes every acknowledged row visible, all at once. Nothing waits: nothing happens. One call at a time; a
        second one waits. The visible set depends neither on the order nor on the cuts of what was taken in."""
        ...

    def raw(self, con: duckdb.DuckDBPyConnection) -> int:
        """Views of one generation, which is returned, whatever is absorbed meanwhile. The files behind them stay until
        the second change after; a query that finds one gone fails, and its caller registers anew."""
        ...

    def generation(self) -> int:
        """Equal generations are equal evidence; it never falls."""
        ...

    def evidence_digest(self, kinds: Sequence[str]) -> str:
        """Equal digests are equal evidence of these kinds. Compaction may change it without need."""
        ...

    def keyer(self) -> Keyer:
        """The one function from document numbers to person keys that this evidence was made with."""
        ...


class KeepsIdentities(Protocol):
    """Who a person key is, sealed: `State.vault`. Needs a key that the evidence does not."""

    def put(self, rows: Iterable[Sealed]) -> int:
        """Stores sealed rows; the later of two about one person and part stays. May be repeated."""
        ...

    def open(self, person: bytes) -> Identity | None:
        """Opens one person. There is no call that opens many, on purpose."""
        ...

    def shred(self, persons: Iterable[bytes]) -> int:
        """What was sealed about these persons is overwritten in the file and its journal. Copies of the file made
        before are out of reach: whoever makes backups deletes them in time."""
        ...
