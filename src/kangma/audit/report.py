"""What an audit says: how much it looked at, and everything that is not as it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kangma.errors import Corrupt, Refused
from kangma.terms import Moment

#: What readers make of a file that somebody changed. Unavailable passes: nothing was found out then.
_UNREADABLE = (Refused, Corrupt, LookupError, OSError, ValueError, TypeError, ArithmeticError)
#: Of one check so many differences are told one by one; the rest is counted.
TOLD = 1_000


class Check(StrEnum):
    """What was looked at. The order is the order of the audit: what stands further down leans on what is above."""

    TRUST = "trust"  # the root's signatures, and every version of the trust list on the one before it
    LOG = (
        "log"  # the checkpoint's signature; every entry, tile and hash; nothing that was seen before is gone
    )
    ENTRIES = "entries"  # what the entries say of each other: releases in order, every turn within one
    POLICIES = "policies"  # every policy in full in the log, and the published files equal to it
    LISTS = "lists"  # every published list signed, as the log says, never older than before
    SEALED = "sealed"  # every part of sealed slots signed whole, as itself
    EVIDENCE = "evidence"  # every file of the evidence as it was taken in
    RELEASES = "releases"  # the registry says what the log says
    TURNS = "turns"  # every turn of every release is a leaf of the log, and no other
    OUT = "out"  # what is out is the sum of all turns
    VERDICTS = "verdicts"  # what is out is what the evidence gives
    TABLES = "tables"  # what the next cycle builds on: the files as written, and what they say as the evidence gives it
    STATUS = "status"  # what the lists say of each person is what the evidence gives
    CREDENTIALS = "credentials"  # every credential that was issued is in the log
    SIGNER = "signer"  # the signer's own book is the log's


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. `key`: whom it concerns, by person key (hex), and nothing else of them.
    `since`: the release and moment since which it has been so, where that can be known."""

    check: Check
    what: str
    where: str = ""
    key: str | None = None
    since: tuple[int, Moment] | None = None

    def as_json(self, iso: Callable[[Moment], str]) -> dict[str, Any]:
        since = None if self.since is None else {"release": self.since[0], "at": iso(self.since[1])}
        return {
            "check": self.check,
            "what": self.what,
            "where": self.where,
            "person": self.key,
            "since": since,
        }


@dataclass
class Report:
    """`checked`: check → how many things were looked at. `more`: differences that are counted only."""

    checked: dict[Check, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    more: dict[Check, int] = field(default_factory=dict)

    def looked(self, check: Check, count: int = 1) -> None:
        self.checked[check] = self.checked.get(check, 0) + count

    def differs(
        self,
        check: Check,
        what: str,
        where: str = "",
        *,
        key: str | None = None,
        since: tuple[int, Moment] | None = None,
    ) -> None:
        if sum(d.check is check for d in self.differences[-TOLD:]) < TOLD:
            self.differences.append(Difference(check, what, where, key, since))
        else:
            self.more[check] = self.more.get(check, 0) + 1

    def must(self, holds: bool, check: Check, what: str, where: str = "") -> bool:
        """Looks at one thing; whether it is as it must be."""
        self.looked(check)
        if not holds:
            self.differs(check, what, where)
        return holds

    @contextmanager
    def looking(self, check: Check, where: str) -> Iterator[None]:
        """What cannot be read within the block is a difference, and the block is left."""
        try:
            yield
        except _UNREADABLE as problem:
            told = f"{problem.code}: {problem.hint}" if isinstance(problem, Refused) else "cannot be read"
            self.differs(check, told if not isinstance(problem, Corrupt) else str(problem), where)

    @property
    def clean(self) -> bool:
        return not self.differences
