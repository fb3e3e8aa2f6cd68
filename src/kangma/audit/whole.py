"""The auditor with the evidence: every code derived again, and everything that is public held against it.

Nothing that a cycle concluded is believed. What must agree, from the bottom up: the files of the evidence and the
manifest that the log has of them; turns and leaves; the sum of all turns and what is out; what is out and what the
evidence gives by another way (`kangma.audit.derive`); what the next cycle will build on and the same; what the lists
say of each person and the same; credentials and journal; the signer's book. A red that somebody wrote into a database
fails at one of them, whatever else was rewritten to fit: the log can be continued but not changed.

Each check can be called by itself, so that tests/audit/test_byte_flips.py can change every byte there is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from kangma.audit.derive import Derived, derive
from kangma.audit.public import Folder, Public, Seen, audit_public, day_of, is_extra
from kangma.audit.report import Check, Report
from kangma.codes.turns import TURNS, Digest, by_every_number
from kangma.credential.index import Permutation
from kangma.errors import Corrupt, Unavailable
from kangma.publish import tables
from kangma.publish.book import Book
from kangma.publish.journal import RECORD, WITHDRAWAL, seal
from kangma.publish.policies import policies
from kangma.status.lists import BITS, OF_STATE, Status, inflate, unpack
from kangma.status.token import open_cwt
from kangma.store import registry as r
from kangma.store.durable import file_digest
from kangma.store.keys import read_key
from kangma.store.numbers import person_table
from kangma.store.releases import Release, releases
from kangma.store.state import State
from kangma.terms import State as Colour
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

    Evidence that was absorbed or left since the last release leaves the codes of that release unexplained. Then all is
    checked that needs no evidence; Unavailable when nothing differs in it: a cycle comes first. Somebody who writes into
    what is out stops the cycle, and must not stop the audit with it.
    """
    folder = Folder.at(str(state.path / "public"))
    public = audit_public(folder, report, seen=seen, root=root)
    recorded = [x for x in releases(state.registry) if x.head is not None]
    _evidence(state, report)
    registry_as_logged(state, report, folder, recorded, public)
    if not recorded:
        return public
    last = recorded[-1]
    for number, name, said in files_of(state, recorded):
        release_file(state, report, number, name, said)
    keys = keys_of(state, report)
    if keys is None:
        return public
    folded = fold(
        report, turns_of(state, report, recorded, keys), salts_of(state, report, keys), public, keys
    )
    out = _out(state, report, last, folded, keys)
    credentials_as_logged(state, report, public)
    signer_as_logged(state, report, recorded, folded, public)
    if _other(state, last):
        if report.clean:
            raise Unavailable("evidence came or left since the last release: run a cycle, then audit")
        return public
    with report.looking(Check.VERDICTS, ""):
        derived = derive(state, policies(state), now=last.now)
        by_number = _columns(by_every_number(derived.out, derived.aliases), keys.count)
        _verdicts(report, recorded, folded, by_number, keys)
        _next_changes(report, out, derived.out, last, keys)
        _tables(state, report, last, derived)
        _status(state, report, folder, public, recorded, folded, by_number, keys)
    return public


def keys_of(state: State, report: Report) -> Keys | None:
    with report.looking(Check.EVIDENCE, "persons.keys"):
        return Keys(state)
    return None


class Keys:
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
        evidence_file(state, report, str(segment.path.relative_to(state.path)), segment.digest)
    b = r.batches.c
    with state.registry.read() as on:
        waiting = on.execute(sa.select(b.file, b.digest).where(b.state == "accepted")).all()
    for file, said in waiting:
        evidence_file(state, report, f"inbox/{file}", said)


def evidence_file(state: State, report: Report, path: str, said: str) -> None:
    with report.looking(Check.EVIDENCE, path):
        report.must(file_digest(state.path / path) == said, Check.EVIDENCE, "not what was taken in", path)


def _other(state: State, last: Release) -> bool:
    """Whether the last release judged other evidence than there is."""
    return state.manifest_digest(state.generation()) != state.manifest_digest(last.generation)


# the log and the registry --------------------------------------------------------------------------------------------


def registry_as_logged(
    state: State, report: Report, folder: Folder, recorded: list[Release], public: Public
) -> None:
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
        }
        for name, value in right.items():
            if said.get(name) != value:
                report.differs(Check.RELEASES, f"its {name} is not the log's", where)
        person_keys(state, report, release, said)
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


def person_keys(state: State, report: Report, release: Release, said: Mapping[str, Any]) -> None:
    """Who is behind each number, as the log has it."""
    where = "persons.keys"
    with report.looking(Check.EVIDENCE, where):
        same = state.persons_digest(int(str(release.counts["persons"]))) == said.get("keys")
        report.must(same, Check.EVIDENCE, f"not the keys that release {release.number} logged", where)


# what a release left ---------------------------------------------------------------------------------------------------

#: Of every release these stay; the others of the last one must be there, of earlier ones they may.
STAY = ("turns.parquet", "proposal.json")


def files_of(state: State, recorded: list[Release]) -> Iterator[tuple[int, str, str]]:
    """(release, file, digest) of all files that must be there: of the last release all, and those that they are upon;
    and of those that may go, while they are there."""
    files: dict[int, Any] = {x.number: x.counts.get("files", {}) for x in recorded}
    wanted = {(number, name) for number in files for name in STAY}
    for name in files[recorded[-1].number]:
        wanted.add((recorded[-1].number, name))
        table, _, base = name.removesuffix(".parquet").partition(".since-")
        if base:
            wanted.add((int(base), f"{table}.parquet"))
    there = {
        (n, name)
        for n in files
        for name in files[n]
        if (state.path / "releases" / f"{n:08d}" / name).exists()
    }
    for number, name in sorted(wanted | there):
        yield number, name, str(files.get(number, {}).get(name))


def release_file(state: State, report: Report, number: int, name: str, said: str) -> None:
    """One file of a release is as it was written: the next cycle builds on it."""
    path = f"releases/{number:08d}/{name}"
    with report.looking(Check.TABLES, path):
        report.must(file_digest(state.path / path) == said, Check.TABLES, "not what the cycle wrote", path)


def _table(state: State, number: int, name: str) -> pa.Table:
    try:
        return tables.read(lambda n: state.path / "releases" / f"{n:08d}", number, name).rows
    except (pa.ArrowException, OSError) as problem:
        raise Corrupt("cannot be read") from problem


@dataclass(frozen=True)
class TurnsOf:
    """The turns of one release, as its table has them; columns of TURNS but the person."""

    release: Release
    persons: NDArray[np.uint32]
    columns: Mapping[str, NDArray[Any]]


def turns_of(state: State, report: Report, recorded: list[Release], keys: Keys) -> list[TurnsOf]:
    found = []
    for release in recorded:
        with report.looking(Check.TURNS, f"release {release.number}"):
            table = _table(state, release.number, "turns")
            columns = {name: table[name].to_numpy() for name in TURNS.names}
            persons = columns.pop("person")
            if len(persons) and (
                int(persons.max()) >= keys.count or (np.diff(persons.astype(int)) <= 0).any()
            ):
                raise Corrupt("a turn of nobody, or two of one person")
            found.append(TurnsOf(release, persons, columns))
    return found


def salts_of(state: State, report: Report, keys: Keys) -> NDArray[np.uint8]:
    """(persons, 32) everybody's salt, zeros for who has none yet."""
    salts = np.zeros((keys.count, SALT), np.uint8)
    with report.looking(Check.TURNS, "signer/salts"):
        content = (state.path / "signer" / "salts").read_bytes()
        if len(content) % SALT or len(content) > salts.size:
            report.differs(Check.TURNS, "more salts than persons, or part of one", "signer/salts")
        content = content[: min(len(content) // SALT * SALT, salts.size)]
        salts.reshape(-1)[: len(content)] = np.frombuffer(content, np.uint8)
    return salts


def fold(
    report: Report, turns: list[TurnsOf], salts: NDArray[np.uint8], public: Public, keys: Keys
) -> Folded:
    """Leaves from turns; and the turns added up."""
    shown = {name: np.zeros(keys.count, kind) for name, kind in _SHOWN.items()}
    turned = np.zeros(keys.count, np.int64)
    for x in turns:
        release, persons = x.release, x.persons
        report.looked(Check.TURNS, len(persons))
        opened = entries.openings(salts[persons], release.number)
        made = entries.commit(opened, entries.turn_bytes(keys.rows(persons), release.number, **x.columns))
        if release.number <= len(public.logged.turns) and public.checkpoint is not None:
            _compare_turns(report, release, made, public.logged.turns[release.number - 1], persons, keys)
        for name, column in shown.items():
            for person in persons[column[persons] != x.columns[f"from_{name}"]]:
                report.differs(
                    Check.TURNS,
                    f"its {name} begins where no turn ended",
                    f"release {release.number}",
                    key=keys.hex(int(person)),
                    since=(release.number, release.now),
                )
            column[persons] = x.columns[f"to_{name}"]
        turned[persons] = release.number
    # Who never turned has no salt, or one whose release was never recorded. One that is nearly nothing could be guessed.
    drawn = np.count_nonzero(salts, axis=1)
    for person in np.flatnonzero((turned == 0) & (drawn > 0) & (drawn < SALT // 2)):
        report.differs(
            Check.TURNS, "its salt was not drawn by chance", "signer/salts", key=keys.hex(int(person))
        )
    return Folded(shown, turned)


def _compare_turns(
    report: Report,
    release: Release,
    made: list[bytes],
    logged: tuple[bytes, ...],
    persons: NDArray[np.uint32],
    keys: Keys,
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


# codes ---------------------------------------------------------------------------------------------------------------


def _out(state: State, report: Report, last: Release, folded: Folded, keys: Keys) -> pa.Table | None:
    """What is out is the sum of all turns, by the digest that the log has of it."""
    where = f"releases/{last.number:08d}"
    with report.looking(Check.OUT, where):
        out, aliases = _table(state, last.number, "out"), _table(state, last.number, "aliases")
        report.looked(Check.OUT, out.num_rows)
        if len(out) and int(pc.max(out["person"]).as_py()) >= keys.count:
            raise Corrupt("a code of nobody")
        if Digest.of(out, keys.all()).hex() != last.verdict_digest:
            report.differs(Check.OUT, "what is out is not what the log says", f"{where}/out.parquet")
        now = _columns(by_every_number(out, aliases), keys.count)
        for name, column in now.items():
            for person in np.flatnonzero(column != folded.shown[name]):
                what = f"{_said(name, column[person])} is out, its turns give {_said(name, folded.shown[name][person])}"
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


def _verdicts(report: Report, recorded: list[Release], folded: Folded, derived: Columns, keys: Keys) -> None:
    when = {x.number: x.now for x in recorded}
    report.looked(Check.VERDICTS, keys.count)
    for name, right in derived.items():
        for person in np.flatnonzero(folded.shown[name] != right):
            number = int(folded.turned[person])
            report.differs(
                Check.VERDICTS,
                f"{_said(name, folded.shown[name][person])} is public, "
                f"the evidence gives {_said(name, right[person])}",
                key=keys.hex(int(person)),
                since=(number, when[number]) if number else None,
            )


def _said(name: str, value: int) -> str:
    """A colour by its word, notices by their bits."""
    return Colour(int(value)).name.lower() if name == "state" else f"{name} {int(value):#x}"


def _next_changes(report: Report, out: pa.Table | None, derived: pa.Table, last: Release, keys: Keys) -> None:
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


def _tables(state: State, report: Report, last: Release, derived: Derived) -> None:
    """What the next cycle takes over without deriving it again is what the evidence gives now."""
    for name, right in (derived.kept | {"aliases": derived.aliases}).items():
        where = f"releases/{last.number:08d}/{name}.parquet"
        with report.looking(Check.TABLES, where):
            by = [(column, "ascending") for column in right.schema.names]
            there = _table(state, last.number, name).select(right.schema.names).cast(right.schema)
            report.must(
                there.sort_by(by).combine_chunks() == right.sort_by(by).combine_chunks(),
                Check.TABLES,
                "not what the evidence gives",
                where,
            )


# lists ---------------------------------------------------------------------------------------------------------------


def _status(
    state: State,
    report: Report,
    folder: Folder,
    public: Public,
    recorded: list[Release],
    folded: Folded,
    derived: Columns,
    keys: Keys,
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
    """The signer's journal (docs/formats/publication.md)."""
    try:
        content = (state.path / "signer" / "journal").read_bytes()
    except FileNotFoundError:
        return np.zeros(0, RECORD)
    rows: NDArray[np.void] = np.frombuffer(content[: len(content) - len(content) % RECORD.itemsize], RECORD)
    return rows


def credentials_as_logged(state: State, report: Report, public: Public) -> None:
    """The roots and seals in the log are those of the journal, stretch by stretch."""
    with report.looking(Check.CREDENTIALS, "signer/journal"):
        rows, start = journal_of(state), 0
        index = read_key(state.path / "signer" / "index.key")
        for event in public.logged.releases:
            where = f"release {event['number']}"
            stop = int(event["journal"])
            stretch = rows[start:stop]
            issued, sealed = stretch[stretch["kind"] != WITHDRAWAL]["digest"], seal(stretch, index)
            said = public.logged.credentials.get(int(event["number"]))
            report.looked(Check.CREDENTIALS, len(issued))
            if stop > len(rows):
                report.differs(Check.CREDENTIALS, "the journal is shorter than the log says", where)
                return
            if len(stretch) or said is not None:
                root = Log.EMPTY.append([d.tobytes() for d in issued])[0].root.hex()
                if said is None or (said["count"], said["root"], said["seal"]) != (len(issued), root, sealed):
                    what = "the journal has other records than the log says"
                    report.differs(Check.CREDENTIALS, what, where)
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


def signer_as_logged(
    state: State, report: Report, recorded: list[Release], folded: Folded, public: Public
) -> None:
    """The signer's own: where it stands, what it holds to be public, and whom it believes."""
    folder, last = state.path / "signer", recorded[-1]
    for name in ("root", "trust"):
        with report.looking(Check.SIGNER, f"signer/{name}"):
            same = (folder / name).read_bytes() == (state.path / "public" / name).read_bytes()
            report.must(same, Check.SIGNER, "not the one that is public", f"signer/{name}")
    with report.looking(Check.SIGNER, "signer/book"):
        book = Book.from_bytes((folder / "book").read_bytes())
        report.looked(Check.SIGNER, len(book.shown))
        logged = {path: said for path, said in public.logged.lists().items() if path in book.listed}
        if not _stands(book, last):
            what = f"it stands at release {book.number}, the registry at {last.number}"
            report.differs(Check.SIGNER, what, "signer/book")
        elif not np.array_equal(book.shown, folded.shown["state"][: len(book.shown)]):
            report.differs(Check.SIGNER, "it holds other states than the turns give", "signer/book")
        elif public.checkpoint is not None and {p: x.digest for p, x in book.listed.items()} != logged:
            report.differs(Check.SIGNER, "it holds other lists than the log says", "signer/book")
    if last.number > 1:
        with report.looking(
            Check.SIGNER, "signer/book.before"
        ):  # a release that is made again is made upon it
            before = Book.from_bytes((folder / "book.before").read_bytes())
            stands = any(_stands(before, x) for x in recorded[-2:])
            report.must(stands, Check.SIGNER, "it stands at no release before the last", "signer/book.before")


def _stands(book: Book, release: Release) -> bool:
    assert release.head is not None
    return (book.number, book.log.size, book.log.root) == (
        release.number,
        release.head.size,
        release.head.root,
    )
