"""What a release makes public, as bytes. Pure: what is known, what is new and who signs are arguments, and the same
arguments give the same bytes, so that a release may be made again after a crash and is the same release.

`prepare` turns a proposal into log entries, lists and the next book; `sign` makes files of it. Between the two lies the
compare-and-swap of `publish.commit`: nothing is signed that was not recorded first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kangma.errors import Corrupt, Unavailable
from kangma.publish import lists
from kangma.publish.book import Book, Family, Listed, Persons, families
from kangma.signing.keys import Signer
from kangma.signing.trust import Ceilings
from kangma.status import delta, token
from kangma.status.lists import BITS, digest
from kangma.store.releases import Head
from kangma.terms import DAY, HOUR, Moment, State, zone
from kangma.translog import entries
from kangma.translog.checkpoint import Checkpoint, sign_checkpoint
from kangma.translog.log import Log

#: A list says "fetch me again" after TTL, and is believed for LIFE; one that did not change is signed anew after RENEW.
TTL, LIFE, RENEW = 300, 7 * DAY, 600
#: Lists of two releases that fall on one second are a second apart. So far the later ones may run ahead of the clock: a
#: door takes the newest signed moment for the time, and would refuse every phone as an old picture.
DRIFT = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a cycle wants to make public. Rows of `turns` by person number, ascending; `keys` (n, 16) uint8 beside them.

    `facts` is what the release entry says of the evidence: numbers and digests, no person. `policies` are
    (digest, id, version, text) of all that are published, `deletions` (run, at, counts) of all that were carried out;
    what the log has of them already is not logged again.
    """

    number: int
    now: Moment
    zone: str
    persons: int
    turns: pa.Table
    keys: NDArray[np.uint8]
    facts: Mapping[str, Any]
    policies: tuple[tuple[str, str, str, str], ...] = ()
    deletions: tuple[tuple[int, Moment, Mapping[str, int]], ...] = ()
    trust: tuple[int, str] = (0, "")  # version and digest of the trust list in force
    journal: int = 0  # records of the signer's journal that this release puts into the log


@dataclass(frozen=True, slots=True)
class Issued:
    """What the signer's journal says up to this release: credentials beyond the daily ones, and what was taken back."""

    families: tuple[Family, ...] = ()  # extra ones that are in use
    holders: Mapping[str, Persons] = field(default_factory=dict)  # who holds the n-th credential of a family
    fresh: Mapping[str, int] = field(
        default_factory=dict
    )  # how many of the last of them the log does not have yet
    digests: tuple[
        bytes, ...
    ] = ()  # SHA-256 of every credential, daily ones too, that the log does not have yet
    withdrawn: Mapping[str, tuple[int, ...]] = field(
        default_factory=dict
    )  # places taken back since the last release
    seal: str = ""  # over the records of all that the log does not have yet; empty when there is nothing

    def of(self, family: Family) -> Persons | None:
        return self.holders.get(family.name, _NOBODY) if family.extra else None


_NOBODY = np.zeros(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything of a release but its signatures. `raws`: the bytes of every list in use; `before`: when each list that
    changes was signed last, and its bytes then."""

    book: Book
    files: Mapping[str, bytes]  # of the log: tiles
    raws: Mapping[str, bytes]
    before: Mapping[str, tuple[Moment, bytes]]
    to_sign: tuple[str, ...]  # paths of lists that are signed anew

    @property
    def head(self) -> Head:
        return Head(self.book.log.size, self.book.log.root)


def prepare(
    book: Book,
    proposal: Proposal,
    *,
    raws: Mapping[str, bytes],
    openings: NDArray[np.uint8],
    issued: Issued,
    index_key: bytes,
    ceilings: Ceilings,
) -> Prepared:
    """The release behind `proposal`, upon `book`.

    raws: the bytes of every list of `book`'s families that are still in use, by path
    openings: (n, 32) uint8, the opening of each turn's commitment (`kangma.translog.entries`)

    Corrupt when the proposal contradicts the book: a turn that does not begin where the last one ended was not
    derived from what is public. Unavailable when more codes would turn worse within an hour than the key may sign, and
    when releases come faster than seconds.
    """
    _follows(book, proposal)
    turns = {name: proposal.turns[name].to_numpy() for name in proposal.turns.schema.names}
    persons: Persons = turns["person"]
    shown = np.zeros(proposal.persons, np.uint8)
    shown[: len(book.shown)] = book.shown
    if not np.array_equal(shown[persons], turns["from_state"]):
        raise Corrupt("a turn begins where the last one did not end: the release contradicts the log")
    shown[persons] = turns["to_state"]
    worse = _worse(book, proposal, turns, ceilings)

    known = replace(book, families=tuple(dict.fromkeys((*book.families, *issued.families))))
    in_use = families(known, proposal.persons, zone(proposal.zone).day(proposal.now))
    names = {f.name for f in in_use}
    taken = {n: (*book.withdrawn.get(n, ()), *issued.withdrawn.get(n, ())) for n in names}
    withdrawn = {n: tuple(sorted(set(places))) for n, places in taken.items() if places}
    new_raws: dict[str, bytes] = {}
    before: dict[str, tuple[Moment, bytes]] = {}
    for family in in_use:
        holders, gone = issued.of(family), withdrawn.get(family.name, ())
        if family in book.families:
            mine = {family.path(n): raws[family.path(n)] for n in range(family.lists)}
            fresh = issued.fresh.get(family.name, 0)
            places, values = lists.changes(family, persons, shown, holders, fresh, gone, key=index_key)
            changed = lists.patched(family, mine, places, values)
            before |= {path: (book.listed[path].signed_at, mine[path]) for path in changed}
            new_raws |= mine | changed
        else:
            new_raws |= lists.whole(family, shown, holders, gone, key=index_key)
    listed, to_sign = {}, []
    # A new trust list may have revoked the key that signed before: doors refuse what it signed, so all is signed anew.
    rotated = proposal.trust[0] > book.trust
    for path, raw in new_raws.items():
        old = book.listed.get(path)
        if old is None or path in before or rotated or proposal.now - old.signed_at >= RENEW:
            to_sign.append(path)
            said = old.digest if old is not None and path not in before else digest(raw).hex()
            # Strictly later than the list before it, also for two releases of one second: readers go by that.
            listed[path] = Listed(said, proposal.now if old is None else max(proposal.now, old.signed_at + 1))
        else:
            listed[path] = old
    if max((x.signed_at for x in listed.values()), default=0) > proposal.now + DRIFT:
        raise Unavailable("releases come faster than seconds: this one waits for the clock")

    first = book.log.size
    logged, about = _events(book, proposal, issued)
    columns = {name: column for name, column in turns.items() if name != "person"}
    # Sorted: in the order of persons they would tell who turned beside whom.
    turned = sorted(entries.commit(openings, entries.turn_bytes(proposal.keys, proposal.number, **columns)))
    first += len(logged)
    logged += turned
    moved = {path: x.digest for path, x in listed.items() if book.listed.get(path) != x}
    moved = {path: d for path, d in moved.items() if path not in book.listed or book.listed[path].digest != d}
    for some in _chunks(moved, 500):
        logged.append(entries.event({"type": "lists", "release": proposal.number, "lists": some}))
    logged.append(
        entries.event(
            {
                "type": "release",
                "number": proposal.number,
                "at": proposal.now,
                "persons": proposal.persons,
                "turns": [first, len(turned)],
                "journal": proposal.journal,
                **proposal.facts,
            }
        )
    )
    log, files = book.log.append(logged)
    return Prepared(
        replace(
            book,
            number=proposal.number,
            now=proposal.now,
            log=log,
            shown=shown,
            families=in_use,
            listed=listed,
            withdrawn=withdrawn,
            issued=proposal.journal,
            worse=worse,
            **about,
        ),
        files,
        new_raws,
        before,
        tuple(to_sign),
    )


def sign(
    prepared: Prepared,
    *,
    status: Signer,
    since: Moment,
    log: Signer,
    base: str,
    origin: str,
    deflated: Callable[[str], bytes],
    several: Callable[..., Any] = map,
) -> dict[str, bytes]:
    """Path in the public folder → content, in the order in which they are to be written: whatever refers to another
    file comes after it. `deflated` gives a list of `to_sign` by its path; `several` maps over them, perhaps with more
    than one processor.

    `since`: the first moment at which the status key may say that it signed. Later than the release only where its own
    key was revoked before it could sign: the lists then say that moment.
    """
    book = prepared.book
    files = dict(prepared.files)
    moments = {path: x.signed_at for path, x in book.listed.items()}
    moments |= {path: max(moments[path], since) for path in prepared.to_sign}

    def signed(path: str) -> dict[str, bytes]:
        at = moments[path]
        claims = token.Claims(
            sub=f"{base}/{path}",
            iat=at,
            exp=at + LIFE,
            ttl=TTL,
            bits=BITS,
            lst=deflated(path),
            release=book.number,
            tree_size=book.log.size,
        )
        made = {path: token.to_cwt(claims, status)}
        if path in prepared.before:
            then, was = prepared.before[path]
            found = delta.delta_cwt(was, then, prepared.raws[path], claims, status)
            if found is not None:
                made[f"{path}.delta"] = found
        return made

    for made in several(signed, prepared.to_sign):
        files |= made
    files["checkpoint"] = sign_checkpoint(Checkpoint(origin, book.log.size, book.log.root), log)
    files["latest.json"] = _latest(book, moments)
    return files


def _latest(book: Book, moments: Mapping[str, Moment]) -> bytes:
    """Where to find things, and when each was signed; unsigned, since everything that it points at is signed itself."""
    return json.dumps(
        {
            "release": book.number,
            "at": book.now,
            "trust": book.trust,
            "log": {"size": book.log.size, "root": book.log.root.hex()},
            "families": {
                f.name: {"day": f.day, "lists": f.lists, "entries": lists.size(f)} for f in book.families
            },
            "lists": moments,
        },
        indent=1,
    ).encode()


def _follows(book: Book, proposal: Proposal) -> None:
    if proposal.number != book.number + 1:
        raise Corrupt(
            f"release {proposal.number} after {book.number} of the log: one of the two was rolled back"
        )
    if proposal.now < book.now or proposal.persons < len(book.shown):
        raise Corrupt("a release older than the log, or of fewer persons: something was rolled back")
    persons = proposal.turns["person"].to_numpy()
    if len(persons) and (persons[-1] >= proposal.persons or (np.diff(persons.astype(np.int64)) <= 0).any()):
        raise Corrupt("turns out of order")


def _worse(
    book: Book, proposal: Proposal, turns: Mapping[str, NDArray[Any]], ceilings: Ceilings
) -> tuple[tuple[Moment, int], ...]:
    """The turns to yellow or red of the last hour, this release's with them. Relief is never counted and never held
    up; a notice leaves the code green."""
    was, will = turns["from_state"].astype(int), turns["to_state"].astype(int)
    harmed = (np.isin(will, (State.YELLOW, State.RED))) & ((will > was) | (was == State.UNKNOWN))
    recent = [(at, n) for at, n in book.worse if at > proposal.now - HOUR]
    now = int(harmed.sum())
    if now:
        recent.append((proposal.now, now))
    most = max(ceilings.worse_an_hour, proposal.persons * ceilings.worse_ppm_an_hour // 1_000_000)
    if now and sum(n for _, n in recent) > most:
        raise Unavailable(
            f"{now:,} codes would turn yellow or red, {sum(n for _, n in recent):,} within an hour; "
            f"the key may sign {most:,}: nothing was published"
        )
    return tuple(recent)


def _events(book: Book, proposal: Proposal, issued: Issued) -> tuple[list[bytes], dict[str, Any]]:
    """Entries that stand before the turns, and what of the book they move."""
    logged: list[bytes] = []
    about: dict[str, Any] = {}
    if proposal.trust[0] > book.trust:
        newest, list_digest = proposal.trust
        logged.append(entries.event({"type": "key", "trust": newest, "digest": list_digest}))
        about["trust"] = newest
    for said, name, version, text in proposal.policies:
        if said not in book.policies:
            logged += entries.policy_parts(name, version, text)
    about["policies"] = tuple(dict.fromkeys((*book.policies, *(p[0] for p in proposal.policies))))
    for run, at, counts in proposal.deletions:
        if run > book.deletion:
            logged.append(entries.event({"type": "deletion", "run": run, "at": at, "rows": dict(counts)}))
            about["deletion"] = run
    if issued.seal:
        root = Log.EMPTY.append(issued.digests)[0].root
        found = {"type": "credentials", "release": proposal.number, "count": len(issued.digests)}
        logged.append(entries.event(found | {"root": root.hex(), "seal": issued.seal}))
    return logged, about


def _chunks(found: Mapping[str, str], most: int) -> list[dict[str, str]]:
    items = sorted(found.items())
    return [dict(items[i : i + most]) for i in range(0, len(items), most)]
