"""The auditor with the evidence: every code derived again, and everything that is public held against it.

Nothing that a cycle concluded is believed. What must agree, from the bottom up: the files of the evidence and the
manifest that the log has of them; turns and leaves; the sum of all turns and what is out; what is out and what the
evidence gives by another way (`kangma.audit.derive`); what the lists say of each person and the same; credentials and
journal; the signer's book. A red that somebody wrote into a database fails at one of them, whatever else was rewritten
to fit: the log can be continued but not changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa
from numpy.typing import NDArray

from kangma.audit.derive import verdicts
from kangma.audit.public import Folder, Public, Seen, audit_public, day_of, is_extra
from kangma.audit.report import Check, Report
from kangma.codes.turns import Digest, by_every_number
from kangma.credential.index import Permutation
from kangma.errors import Corrupt, Unavailable
from kangma.publish.book import Book
from kangma.publish.journal import RECORD, WITHDRAWAL
from kangma.publish.policies import policies
from kangma.publish.tables import read as read_table
from kangma.status.lists import BITS, OF_STATE, Status, inflate, unpack
from kangma.status.token import open_cwt
from kangma.store import registry as r
from kangma.store.durable import file_digest
from kangma.store.keys import read_key
from kangma.store.numbers import person_table
from kangma.store.releases import Release, releases
from kangma.store.state import State
from kangma.translog import entries, tiles
from kangma.translog.log import Log

SALT = 32
Columns = Mapping[str, NDArray[Any]]  # state, popups, reminds: (persons,) by person number
_SHOWN = {"state": np.uint8, "popups": np.uint32, "reminds": np.uint32}


@dataclass(frozen=True)
class Folded:
    """The sum of all turns, and of each person the last release that turned them (0: never)."""

    shown: Columns
    turned: NDArray[np.int64]


def audit(state: State, report: Report, *, seen: Seen, root: str | None = None) -> Public:
    """The whole audit of a state directory as at its last release, told in `report`.

    Unavailable when evidence was absorbed since the last release: a cycle comes first.
    """
    folder = Folder.at(str(state.path / "public"))
    public = audit_public(folder, report, seen=seen, root=root)
    recorded = [x for x in releases(state.registry) if x.head is not None]
    _evidence(state, report)
    _releases(state, report, folder, recorded, public)
    if not recorded:
        return public
    last = recorded[-1]
    _nothing_new(state, last)
    keys = _Keys(state)
    folded = _turns(state, report, recorded, public, keys)
    out = _out(state, report, last, folded, keys)
    derived_out, derived_aliases = verdicts(state, policies(state), now=last.now)
    persons = keys.count
    derived = _columns(by_every_number(derived_out, derived_aliases), persons)
    _verdicts(report, recorded, folded, derived, keys)
    _next_changes(report, out, derived_out, last, keys)
    _status(state, report, folder, public, recorded, folded, derived, keys)
    _credentials(state, report, public)
    _signer(state, report, last, folded)
    return public


class _Keys:
    """Person keys by number."""

    def __init__(self, state: State) -> None:
        self.count = state.person_count()
        table = person_table(state.path / "persons.keys", self.count)
        self._keys = table["key"]

    def hex(self, person: int) -> str:
        return str(self._keys[int(person)].as_py().hex())

    def all(self) -> NDArray[np.uint8]:
        """(persons, 16)"""
        return self.rows(np.arange(self.count, dtype=np.uint32))

    def rows(self, persons: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """(n, 16)"""
        found = self._keys.take(pa.array(persons)).to_pylist()
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 16)


# evidence ------------------------------------------------------------------------------------------------------------


def _evidence(state: State, report: Report) -> None:
    """Every file that the registry names is there and has the digest of the day on which it was written."""
    for segment in state.live_segments():
        where = f"segments/{segment.path.relative_to(state.path / 'segments')}"
        with report.looking(Check.EVIDENCE, where):
            same = file_digest(segment.path) == segment.digest
            report.must(same, Check.EVIDENCE, "not what was taken in", where)
    b = r.batches.c
    with state.registry.read() as on:
        waiting = on.execute(sa.select(b.file, b.digest).where(b.state == "accepted")).all()
    for file, said in waiting:
        with report.looking(Check.EVIDENCE, f"inbox/{file}"):
            same = file_digest(state.path / "inbox" / file) == said
            report.must(same, Check.EVIDENCE, "not what was taken in", f"inbox/{file}")


def _nothing_new(state: State, last: Release) -> None:
    """Unavailable when there is evidence that the last release did not judge."""
    if state.manifest_digest(state.generation()) == state.manifest_digest(last.generation):
        return
    c = r.deletions.c
    with state.registry.read() as on:
        query = sa.select(sa.func.max(c.run)).where(c.state == "shredded")
        deleted = int(on.execute(query).scalar() or 0)
    if deleted == int(str(last.counts["deletion_run"])):
        raise Unavailable("evidence was absorbed since the last release: run a cycle, then audit")


# the log and the registry --------------------------------------------------------------------------------------------


def _releases(state: State, report: Report, folder: Folder, recorded: list[Release], public: Public) -> None:
    """What the registry says of each release, the log says too, and neither has more."""
    logged = public.logged.releases
    if public.checkpoint is None:
        return
    for release in recorded:
        where = f"release {release.number}"
        report.looked(Check.RELEASES)
        if release.number > len(logged):
            if release.announced:
                report.differs(Check.RELEASES, "the log does not have it", where)
            continue
        said, head = logged[release.number - 1], release.head
        assert head is not None
        right = {
            "number": release.number,
            "at": release.now,
            "generation": release.generation,
            "evidence": state.manifest_digest(release.generation),
            "policy": release.policy_digest,
            "verdicts": release.verdict_digest,
            "persons": release.counts["persons"],
            "keys": state.persons_digest(int(str(release.counts["persons"]))),
        }
        for name, value in right.items():
            if said.get(name) != value:
                report.differs(Check.RELEASES, f"its {name} is not the log's", where)
        with report.looking(Check.RELEASES, where):
            if head.size > public.checkpoint.size or tiles.root(folder.read, head.size) != head.root:
                report.differs(Check.RELEASES, "its place in the log is not the log's", where)
    for number in range(recorded[-1].number + 1 if recorded else 1, len(logged) + 1):
        since = (number, logged[number - 1]["at"])
        report.differs(
            Check.RELEASES, "the registry lacks it: it was rolled back", f"release {number}", since=since
        )
    for run in public.logged.deletions:
        c = r.deletions.c
        with state.registry.read() as on:
            known = on.execute(sa.select(c.state).where(c.run == run["run"])).scalar()
        report.must(known == "shredded", Check.RELEASES, "the registry lacks it", f"deletion {run['run']}")
    for text in state.policies():
        if recorded and public.logged.releases:
            same = public.logged.policies.get(text.digest) == text.document
            report.must(same, Check.POLICIES, "not in the log", f"policy {text.id} {text.version}")


def _turns(state: State, report: Report, recorded: list[Release], public: Public, keys: _Keys) -> Folded:
    """Leaves from turns; and the turns added up."""
    shown = {name: np.zeros(keys.count, kind) for name, kind in _SHOWN.items()}
    turned = np.zeros(keys.count, np.int64)
    salts = _salts(state)
    for release in recorded:
        where = f"release {release.number}"
        with report.looking(Check.TURNS, where):
            table = pq.read_table(state.path / "releases" / f"{release.number:08d}" / "turns.parquet")
            columns = {name: table[name].to_numpy() for name in table.schema.names}
            persons = columns.pop("person")
            report.looked(Check.TURNS, len(persons))
            if len(persons) and int(persons.max()) >= min(keys.count, len(salts)):
                raise Corrupt("a turn of nobody")
            opened = entries.openings(salts[persons], release.number)
            made = entries.commit(opened, entries.turn_bytes(keys.rows(persons), release.number, **columns))
            if release.number <= len(public.logged.turns) and public.checkpoint is not None:
                _compare_turns(report, release, made, public.logged.turns[release.number - 1], persons, keys)
            for name, column in shown.items():
                for person in persons[column[persons] != columns[f"from_{name}"]]:
                    report.differs(
                        Check.TURNS,
                        f"its {name} begins where no turn ended",
                        where,
                        key=keys.hex(int(person)),
                        since=(release.number, release.now),
                    )
                column[persons] = columns[f"to_{name}"]
            turned[persons] = release.number
    return Folded(shown, turned)


def _compare_turns(
    report: Report,
    release: Release,
    made: list[bytes],
    logged: tuple[bytes, ...],
    persons: NDArray[np.uint32],
    keys: _Keys,
) -> None:
    there, since = set(logged), (release.number, release.now)
    for person, leaf in zip(persons, made, strict=True):
        if leaf not in there:
            what = "a turn that is not in the log, or its salt is gone"
            report.differs(
                Check.TURNS, what, f"release {release.number}", key=keys.hex(int(person)), since=since
            )
    if more := len(there - set(made)):
        what = f"the log has {more} turns that are not recorded"
        report.differs(Check.TURNS, what, f"release {release.number}", since=since)


def _salts(state: State) -> NDArray[np.uint8]:
    try:
        return np.fromfile(state.path / "signer" / "salts", np.uint8).reshape(-1, SALT)
    except FileNotFoundError:
        return np.zeros((0, SALT), np.uint8)


# codes ---------------------------------------------------------------------------------------------------------------


def _out(state: State, report: Report, last: Release, folded: Folded, keys: _Keys) -> pa.Table | None:
    """What is out is the sum of all turns, by the digest that the log has of it."""
    where = f"releases/{last.number:08d}"
    with report.looking(Check.OUT, where):
        try:
            out = read_table(lambda n: state.path / "releases" / f"{n:08d}", last.number, "out").rows
            aliases = pq.read_table(state.path / where / "aliases.parquet")
        except pa.ArrowException as problem:
            raise Corrupt("cannot be read") from problem
        report.looked(Check.OUT, out.num_rows)
        if len(out) and int(pc.max(out["person"]).as_py()) >= keys.count:
            raise Corrupt("a code of nobody")
        if Digest.of(out, keys.all()).hex() != last.verdict_digest:
            report.differs(Check.OUT, "what is out is not what the log says", f"{where}/out.parquet")
        now = _columns(by_every_number(out, aliases), keys.count)
        for name, column in now.items():
            for person in np.flatnonzero(column != folded.shown[name]):
                what = f"its {name} is out and no turn made it so"
                report.differs(Check.OUT, what, f"{where}/out.parquet", key=keys.hex(int(person)))
        return out
    return None


def _columns(table: pa.Table, persons: int) -> Columns:
    """OUT by person number."""
    made = {name: np.zeros(persons, kind) for name, kind in _SHOWN.items()}
    at = table["person"].to_numpy()
    inside = at < persons
    for name, column in made.items():
        column[at[inside]] = table[name].to_numpy()[inside]
    return made


def _verdicts(report: Report, recorded: list[Release], folded: Folded, derived: Columns, keys: _Keys) -> None:
    when = {x.number: x.now for x in recorded}
    report.looked(Check.VERDICTS, keys.count)
    for name, right in derived.items():
        for person in np.flatnonzero(folded.shown[name] != right):
            number = int(folded.turned[person])
            report.differs(
                Check.VERDICTS,
                f"its {name} is public as {int(folded.shown[name][person])}, the evidence gives {int(right[person])}",
                key=keys.hex(int(person)),
                since=(number, when[number]) if number else None,
            )


def _next_changes(
    report: Report, out: pa.Table | None, derived: pa.Table, last: Release, keys: _Keys
) -> None:
    """The moment at which a verdict is looked at again: too late a one would keep a code past its end."""
    if out is None:
        return
    never = np.iinfo(np.int64).max
    sides = []
    for table in (out, derived):
        column = np.full(keys.count, never)
        column[table["person"].to_numpy()] = table["next_change_at"].fill_null(never).to_numpy()
        sides.append(column)
    mine = np.intersect1d(out["person"].to_numpy(), derived["person"].to_numpy())
    for person in mine[sides[0][mine] > sides[1][mine]]:
        what = "it is looked at again later than the evidence asks for"
        report.differs(Check.VERDICTS, what, key=keys.hex(int(person)), since=(last.number, last.now))


# lists ---------------------------------------------------------------------------------------------------------------


def _status(
    state: State,
    report: Report,
    folder: Folder,
    public: Public,
    recorded: list[Release],
    folded: Folded,
    derived: Columns,
    keys: _Keys,
) -> None:
    """What each list says of each person, derived from the verdicts by the permutation of its family."""
    if public.trust is None or not public.logged.releases:
        return
    last, when = public.logged.releases[-1], {x.number: x.now for x in recorded}
    permuted = _Families(state, derived["state"][: int(last["persons"])], int(last["journal"]), public)
    for name, paths in permuted.names.items():
        values, whose = permuted.family(name)
        for n, path in enumerate(paths):
            if not (state.path / "public" / path).exists():
                continue  # over; that none is missing which is in use, the public part has seen
            with report.looking(Check.STATUS, path):
                claims = open_cwt(folder.read(path)).claims
                found = unpack(inflate(claims.lst), BITS)
                each = permuted.size(name)
                right, holders = values[n * each : (n + 1) * each], whose[n * each : (n + 1) * each]
                report.looked(Check.STATUS, len(found))
                if len(found) != len(right):
                    report.differs(Check.STATUS, "of another length", path)
                    continue
                for at in np.flatnonzero(found != right):
                    person = int(holders[at])
                    turned = int(folded.turned[person]) if person >= 0 else 0
                    report.differs(
                        Check.STATUS,
                        f"it says {int(found[at]):#x}, the evidence gives {int(right[at]):#x}",
                        path,
                        key=keys.hex(person) if person >= 0 else None,
                        since=(turned, when[turned]) if turned else None,
                    )


class _Families:
    """What the lists must say, from everybody's state: docs/formats/status-list.md, without the signer's code."""

    DAILY, EXTRA = 1 << 20, 1 << 16  # entries of a list

    def __init__(self, state: State, states: NDArray[np.uint8], journal: int, public: Public) -> None:
        self._states, self._key = states, read_key(state.path / "signer" / "index.key")
        self._journal = journal_of(state)[:journal]
        #: family → its lists, of one day in the order of its series
        self.names: dict[str, list[str]] = {}
        for path in sorted(public.logged.lists(), key=lambda p: (*_series(p), int(p.rsplit("/", 1)[1]))):
            self.names.setdefault(path.split("/")[1], []).append(path)

    def size(self, name: str) -> int:
        return self.EXTRA if name.startswith("x") else self.DAILY

    def family(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(values, whose) by place: the value that a place must have, and the person number behind it, -1 nobody."""
        capacity = len(self.names[name]) * self.size(name)
        places = Permutation(self._key, name, capacity)
        whose = np.full(capacity, -1, np.int64)
        mine = self._of(name)
        if name.startswith("x"):
            values = np.full(capacity, Status.UNKNOWN, np.uint8)
            holders = mine["person"][mine["kind"] != WITHDRAWAL].astype(np.int64)
        else:
            values = np.zeros(capacity, np.uint8)
            day, series = _series(self.names[name][0])[1:]
            before = [n for n in self.names if not n.startswith("x")]
            first = sum(
                len(self.names[n]) * self.DAILY
                for n in before
                if (s := _series(self.names[n][0]))[1] == day and s[2] < series
            )
            holders = np.arange(first, min(first + capacity, len(self._states)), dtype=np.int64)
        at = places.places(np.arange(len(holders), dtype=np.uint32))
        whose[at], values[at] = holders, OF_STATE[self._states[holders]]
        values[mine["place"][mine["kind"] == WITHDRAWAL]] = Status.INVALID
        return values, whose

    def _of(self, name: str) -> NDArray[np.void]:
        extra, day, series = _series(self.names[name][0])
        rows = self._journal
        mine: NDArray[np.void] = rows[
            (rows["extra"] == extra) & (rows["day"] == day) & (rows["series"] == series)
        ]
        return mine


def _series(path: str) -> tuple[bool, int, int]:
    """(extra, day, series) of a list's family."""
    return is_extra(path), day_of(path), int(path.split("/")[1].partition(".")[2] or 0)


# credentials and the signer ------------------------------------------------------------------------------------------


def journal_of(state: State) -> NDArray[np.void]:
    """The signer's journal (docs/formats/signer.md)."""
    try:
        content = (state.path / "signer" / "journal").read_bytes()
    except FileNotFoundError:
        return np.zeros(0, RECORD)
    rows: NDArray[np.void] = np.frombuffer(content[: len(content) - len(content) % RECORD.itemsize], RECORD)
    return rows


def _credentials(state: State, report: Report, public: Public) -> None:
    """The roots in the log are those of the journal, stretch by stretch."""
    rows, start = journal_of(state), 0
    for event in public.logged.releases:
        where = f"release {event['number']}"
        stop = int(event["journal"])
        stretch = rows[start:stop]
        issued = stretch[stretch["kind"] != WITHDRAWAL]["digest"]
        said = public.logged.credentials.get(int(event["number"]))
        report.looked(Check.CREDENTIALS, len(issued))
        if stop > len(rows):
            report.differs(Check.CREDENTIALS, "the journal is shorter than the log says", where)
            return
        if len(issued) or said is not None:
            root = Log.EMPTY.append([d.tobytes() for d in issued])[0].root.hex()
            if said is None or (said["count"], said["root"]) != (len(issued), root):
                report.differs(Check.CREDENTIALS, "what was issued is not what the log says", where)
        start = stop


def find_credential(state: State, public: Public, signed: bytes) -> int | None:
    """The release whose log entry covers this credential (the bytes of its COSE_Sign1), None when it was never issued:
    then whoever signed it had the key and not the log. Raises Unavailable when it waits for the next release."""
    wanted = np.void(hashlib.sha256(signed).digest())
    found = np.flatnonzero(journal_of(state)["digest"] == wanted)
    if not len(found):
        return None
    for event in public.logged.releases:
        if found[0] < int(event["journal"]):
            return int(event["number"])
    raise Unavailable("it was issued since the last release, and is in the log with the next one")


def _signer(state: State, report: Report, last: Release, folded: Folded) -> None:
    """The signer's own book: where it stands, and what it holds to be public."""
    with report.looking(Check.SIGNER, "signer/book"):
        book = Book.from_bytes((state.path / "signer" / "book").read_bytes())
        assert last.head is not None
        report.looked(Check.SIGNER, len(book.shown))
        if (book.number, book.log.size, book.log.root) != (last.number, last.head.size, last.head.root):
            what = f"it stands at release {book.number}, the registry at {last.number}"
            report.differs(Check.SIGNER, what, "signer/book")
        elif not np.array_equal(book.shown, folded.shown["state"][: len(book.shown)]):
            report.differs(Check.SIGNER, "it holds other states than the turns give", "signer/book")
