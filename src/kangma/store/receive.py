"""A hostile file → a receipt. One file is one transaction: nothing of it counts until all of it is durable.

1 the file's name says its form and kind, its manifest what the sender meant to send
2 a worker reads it; accepted rows are spooled, identities sealed, refused rows written to a rejects file
3 a file that breaks the worker is read again piece by piece, until what breaks it is found and put aside
4 the manifest is held against what came
5 rejects file, rows and counts become durable, in this order; the receipt is returned
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, Protocol

import sqlalchemy as sa

from kangma.errors import Code, Refused
from kangma.intake.documents import Batch, Refusal, reject_header, reject_rows
from kangma.intake.kinds import KINDS
from kangma.intake.limits import DEFAULT as DEFAULT_LIMITS
from kangma.intake.limits import Limits
from kangma.store import forms, keys
from kangma.store import registry as r
from kangma.store.alarms import What, raise_alarm
from kangma.store.durable import (
    fsync_file,
    fsync_folder,
    publish_file,
    unavailable_when_the_disk_is,
    write_file,
)
from kangma.store.inbox import Manifest, Staging, Tally, check_feed, take_manifest
from kangma.store.sandbox import DEFAULT as DEFAULT_BOUNDS
from kangma.store.sandbox import Bounds, Broken, Sandbox
from kangma.store.state import State
from kangma.terms import Moment

TRIES = 3
PIECE = 4 << 20  # bytes that are read at a time once a file has broken a worker
MOST_BREAKS = 500  # of workers by one file; then it is refused whole
MANIFEST = ".manifest.json"
_MANIFEST_BYTES = 65_536
_LISTED = 1_000  # refused rows that a rejects summary lists; the counts cover all


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """What became of one file. received = accepted + duplicate + refused + quarantined.

    `code` is set when the file was refused whole, and then nothing of it was taken in. A file that is put aside whole
    counts as one quarantined piece. `number` is the receipt's in the registry. `held`: a gate kept all of it back, and it
    counts as quarantined whole.
    """

    path: str
    kind: str
    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    quarantined: int = 0
    rejects_file: str | None = None
    code: Code | None = None
    where: str = ""
    hint: str = ""
    kinds: dict[str, Tally] = field(default_factory=dict)
    number: int = 0
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "path": self.path,
            "kind": self.kind,
            "received": self.received,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "refused": self.refused,
            "quarantined": self.quarantined,
            "rejects_file": self.rejects_file,
        }
        codes: dict[str, int] = {}
        for tally in self.kinds.values():
            for code, count in tally.codes.items():
                codes[code] = codes.get(code, 0) + count
        out["codes"] = codes
        if len(self.kinds) > 1:
            out["kinds"] = {
                k: [t.received, t.accepted, t.duplicate, t.refused, t.quarantined]
                for k, t in sorted(self.kinds.items())
            }
        if self.code is not None:
            out |= {"code": str(self.code), "where": self.where, "hint": self.hint}
        return out


class Gate(Protocol):
    """Somebody who looks at a file's batches before they count."""

    def begin(self) -> None:
        """The file is read from its start, perhaps once more."""

    def judged(self, batch: Batch) -> Batch:
        """The batch, with rows refused that its sender may not send."""
        ...

    def hold(self) -> bool:
        """All was read, nothing is durable: whether it is kept back whole. True only when the gate can give it back."""
        ...


def files_in(paths: Iterable[Path]) -> list[Path]:
    """The files to take in, folders opened, in sorted order; manifests belong to their files, and names in a folder
    that begin with a point or an underscore are passed over. What is no file (a broken link, a loop) is listed too, and
    refused as unreadable when its turn comes. Evidence is a set, so the order matters to nobody but the
    reader of the output."""
    out: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = (p for p in path.rglob("*") if not p.is_dir() and p.name[0] not in "._")
            out += sorted(p for p in found if not p.name.endswith(MANIFEST))
        else:
            out.append(path)
    return out


def receive_all(
    state: State,
    paths: Iterable[Path],
    *,
    kind: str | None = None,
    feed: str = "local",
    limits: Limits = DEFAULT_LIMITS,
    inside: bool = False,
    zone: str | None = None,
    processing: Sequence[str] = ("P",),
    now: Moment | None = None,
) -> Iterator[FileReceipt]:
    """Receives files and folders one after another with one worker; a receipt is durable when it is yielded."""
    with sandbox_for(state, limits) as sandbox:
        for path in files_in(paths):
            yield receive(
                state,
                path,
                kind=kind,
                feed=feed,
                limits=limits,
                inside=inside,
                zone=zone,
                processing=processing,
                now=now,
                sandbox=sandbox,
            )


def sandbox_for(state: State, limits: Limits = DEFAULT_LIMITS, bounds: Bounds = DEFAULT_BOUNDS) -> Sandbox:
    """A worker that names persons by this state's key."""
    return Sandbox(keys.read_key(state.path / "keys" / "person.key"), limits, bounds)


def receive(
    state: State,
    path: Path,
    *,
    kind: str | None = None,
    feed: str = "local",
    limits: Limits = DEFAULT_LIMITS,
    manifest: Manifest | None = None,
    inside: bool = False,
    zone: str | None = None,
    processing: Sequence[str] = ("P",),
    now: Moment | None = None,
    sandbox: Sandbox | None = None,
    form: str | None = None,
    gate: Gate | None = None,
) -> FileReceipt:
    """Takes one file in; what the receipt counts as accepted is durable when this returns.

    `inside`: the sender may name persons by key. `zone`: of HL7 times without offset. `processing`: values of MSH-11
    that are meant. A manifest given here goes before one beside the file; a feed called "local" takes the manifest's
    name. `form`: where no file name says it. `gate`: looks at every batch first. Raises Unavailable when the disk is full
    or another writer stays; then nothing was taken in.
    """
    if sandbox is None:
        with sandbox_for(state, limits) as own:
            return receive(
                state,
                path,
                kind=kind,
                feed=feed,
                limits=limits,
                manifest=manifest,
                inside=inside,
                zone=zone,
                processing=processing,
                now=now,
                sandbox=own,
                form=form,
                gate=gate,
            )
    state.require_writable()
    digest, what, form = "", kind or "", form or ""
    try:
        check_feed(feed)
        with _opened(path) as file:
            before = os.fstat(file.fileno())
            head = os.pread(file.fileno(), 64, 0)
            form = form or forms.form_of(path.name, head)
            what = (kind or forms.kind_of(path.name)) if form in forms.TABLES else form
            if form in forms.TABLES and what not in KINDS:
                raise Refused(Code.UNKNOWN_KIND, hint=f"one of {', '.join(KINDS)}")
            if before.st_size > limits.file_bytes:
                raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {limits.file_bytes} bytes a file")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            said = manifest or _manifest_beside(path)
            if said is not None:
                feed = _agree(said, feed, digest)
            request = {
                "form": form,
                "kind": what,
                "inside": inside,
                "zone": zone,
                "processing": list(processing),
            }
            intake = _Intake(state, sandbox, file, request, opened=before, digest=digest, gate=gate)
            try:
                got = intake.take(feed, said, now, careful=False)
            except Broken:
                got = intake.take(feed, said, now, careful=True)
        receipt = replace(got, path=str(path))
    except Refused as problem:
        place = replace(problem.where, file=None)
        receipt = FileReceipt(str(path), what, code=problem.code, where=str(place), hint=problem.hint)
        receipt = replace(receipt, number=_note_refusal(state, receipt, feed, digest, now))
    state.log.info(
        "file received",
        kind=receipt.kind,
        form=form,
        digest=digest[:16],
        received=receipt.received,
        accepted=receipt.accepted,
        duplicate=receipt.duplicate,
        refused=receipt.refused,
        quarantined=receipt.quarantined,
        code=str(receipt.code or ""),
    )
    return receipt


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """The file, held open: whatever is put in its place under the same name is not read. Refused when it is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as problem:
        raise Refused(Code.UNREADABLE, hint=f"cannot be opened: {os.strerror(problem.errno or 0)}") from None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused(Code.UNREADABLE, hint="not a plain file")
        yield file


def _manifest_beside(path: Path) -> Manifest | None:
    """The manifest `<file>.manifest.json`, None when there is none. Refused (manifest_mismatch) for a damaged one."""
    beside = path.with_name(path.name + MANIFEST)
    if not beside.exists():
        return None
    with _opened(beside) as file:
        content = file.read(_MANIFEST_BYTES + 1)
    try:
        if len(content) > _MANIFEST_BYTES:
            raise ValueError
        told = json.loads(content)
        found = Manifest(told["feed"], told["sequence"], told["rows"], str(told["sha256"]).lower())
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(
            Code.MANIFEST_MISMATCH, hint="the manifest is no JSON with feed, sequence, rows, sha256"
        ) from None
    numbers = (found.sequence, found.rows)
    if not isinstance(found.feed, str) or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
        raise Refused(Code.MANIFEST_MISMATCH, hint="feed is a text, sequence and rows are whole numbers")
    return found


def _agree(said: Manifest, feed: str, digest: str) -> str:
    """The feed that sent the file. Refused (manifest_mismatch) when the manifest speaks of another file or feed."""
    check_feed(said.feed)
    if feed not in ("local", said.feed):
        raise Refused(Code.MANIFEST_MISMATCH, hint="the manifest is of another feed")
    if said.sha256 != digest:
        raise Refused(Code.MANIFEST_MISMATCH, hint="the SHA-256 of the manifest is not the file's")
    return said.feed


def _note_refusal(state: State, receipt: FileReceipt, feed: str, digest: str, now: Moment | None) -> int:
    """A file refused whole leaves a line in the registry, and an alarm when its manifest was broken; the receipt's
    number."""
    with state.registry.write() as on:
        number = r.next_number(on, "receipts")
        on.execute(
            sa.insert(r.receipts).values(
                receipt=number,
                kind="",
                feed=feed[:64],
                file_digest=digest,
                received=0,
                accepted=0,
                duplicate=0,
                refused=0,
                quarantined=0,
                code=str(receipt.code),
                codes="{}",
                at=now,
            )
        )
        if receipt.code is Code.MANIFEST_MISMATCH:
            raise_alarm(on, What.MANIFEST_MISMATCH, feed[:64], {"receipt": number}, now)
    return int(number)


def _note_held(
    state: State, rows: dict[str, int], feed: str, digest: str, said: Manifest | None, now: Moment | None
) -> FileReceipt:
    """A file that a gate kept back: its rows are counted as quarantined, its place in the sequence is taken."""
    tallies = {kind: Tally(quarantined=n) for kind, n in rows.items()}
    with state.registry.write() as on:
        number = r.next_number(on, "receipts")
        if on.execute(sa.select(r.feeds.c.feed).where(r.feeds.c.feed == feed)).first() is None:
            on.execute(sa.insert(r.feeds).values(feed=feed, inside=False))
        for kind, tally in tallies.items():
            on.execute(
                sa.insert(r.receipts).values(
                    receipt=number, kind=kind, feed=feed, file_digest=digest, received=tally.received, accepted=0,
                    duplicate=0, refused=0, quarantined=tally.quarantined, codes="{}", at=now,
                )
            )  # fmt: skip
        raise_alarm(on, What.BRAKE, feed, {"receipt": number, "rows": sum(rows.values())}, now)
        if said is not None:
            take_manifest(on, said, number, now)
    return replace(_summed("", tallies, None), number=int(number), held=True)


class _Intake:
    """One file on its way in. `take` may be called again after it raised Broken: it starts from nothing."""

    def __init__(
        self,
        state: State,
        sandbox: Sandbox,
        file: io.BufferedReader,
        request: dict[str, Any],
        *,
        opened: os.stat_result,
        digest: str,
        gate: Gate | None = None,
    ) -> None:
        self._state, self._sandbox, self._file, self._request = state, sandbox, file, request
        self._gate = gate
        self._opened, self._digest = opened, digest
        self._size = opened.st_size
        self._breaks = 0

    def take(self, feed: str, said: Manifest | None, now: Moment | None, *, careful: bool) -> FileReceipt:
        """Reads the file into the inbox. Raises Refused for the whole file, and Broken unless `careful`."""
        with Staging(self._state, feed) as staging, unavailable_when_the_disk_is():
            rejects = _Rejects(staging.folder)
            tallies: dict[str, Tally] = {}
            batches = self._piece_by_piece(staging.folder) if careful else self._read([(0, self._size)])
            aside: list[_Aside] = []
            gate, staged = self._gate, dict[str, int]()
            if gate is not None:
                gate.begin()
            for batch in batches:
                if isinstance(batch, _Aside):
                    aside.append(batch)
                    tallies.setdefault(batch.kind, Tally()).quarantined += 1
                    continue
                if gate is not None:
                    batch = gate.judged(batch)  # noqa: PLW2901  what follows knows no other
                staged[batch.kind] = staged.get(batch.kind, 0) + batch.received
                staging.add(batch.kind, batch.accepted)
                if batch.secrets is not None:
                    staging.seal(batch.secrets)
                tally = tallies.setdefault(batch.kind, Tally())
                tally.refused += len(batch.refused)
                for refusal in batch.refused:
                    tally.codes[str(refusal.code)] = tally.codes.get(str(refusal.code), 0) + 1
                rejects.add(batch)
            rejects.close()
            rows = staging.rows + sum(t.refused + t.quarantined for t in tallies.values())
            if said is not None and said.rows != rows:
                raise Refused(Code.MANIFEST_MISMATCH, hint=f"{rows} rows came, the manifest says {said.rows}")
            now_there = os.fstat(self._file.fileno())
            if (now_there.st_mtime_ns, now_there.st_size) != (self._opened.st_mtime_ns, self._size):
                raise Refused(Code.UNREADABLE, hint="the file changed while it was read")
            if gate is not None and gate.hold():
                for piece in aside:
                    staged[piece.kind] = staged.get(piece.kind, 0) + 1
                return _note_held(self._state, staged, feed, self._digest, said, now)
            for piece in aside:
                piece.keep(self._state.path / "quarantine", self._digest)
            name = rejects.publish(self._state.path / "rejects", self._request["kind"], self._digest, tallies)
            receipt = staging.commit(
                file_digest=self._digest, tallies=tallies, manifest=said, now=now, quarantined=len(aside)
            )
        return replace(_summed(self._request["kind"], receipt.tallies, name), number=receipt.number)

    def _read(self, ranges: Sequence[tuple[int, int]]) -> Iterator[Batch | _Aside]:
        yield from self._sandbox.read(self._file.fileno(), self._request, ranges)

    def _piece_by_piece(self, folder: Path) -> Iterator[Batch | _Aside]:
        """The file in pieces, each read for itself; a piece that breaks the worker is halved until one record is left,
        and that one is put aside after TRIES. A form that cannot be cut is put aside whole."""
        splitter = _SPLITTERS.get(self._request["form"])
        header, records = (0, 0), iter(list[_Record]())
        if splitter is not None:
            header, records = splitter(self._file.fileno(), self._size, self._sandbox.limits.line_bytes)
        first = next(records, None)
        if first is None:
            for _ in range(TRIES - 1):
                with contextlib.suppress(Broken):
                    # All at once: what was yielded before a break must not count.
                    yield from list(self._read([(0, self._size)]))
                    return
            yield _Aside(self._whole_kind(), self._file.fileno(), (0, self._size), None)
            return
        rows, piece, weight = 0, list[_Record](), 0
        # Messages one by one: between them may lie the lines of an envelope, which belong to no piece.
        most = 1 if self._request["form"] == "hl7v2" else PIECE
        for record in itertools.chain([first], records, [None]):
            if record is not None:
                piece.append(record)
                weight += record.end - record.start
                if weight < most:
                    continue
            for got in self._halved(header, piece):
                if isinstance(got, _Aside):
                    rows += 1
                    yield got
                else:
                    yield replace(got, refused=tuple(replace(x, row=x.row + rows) for x in got.refused))
                    rows += got.received
            piece, weight = [], 0

    def _halved(self, header: tuple[int, int], piece: list[_Record]) -> Iterator[Batch | _Aside]:
        if not piece:
            return
        span = (piece[0].start, piece[-1].end)
        ranges = [header, span] if header[1] else [span]
        for attempt in range(TRIES if len(piece) == 1 else 1):
            try:
                whole = list(self._read(ranges))
            except Broken as problem:
                self._breaks += 1
                if self._breaks > MOST_BREAKS:
                    raise Refused(Code.UNREADABLE, hint="too many of its rows break the reader") from None
                if len(piece) == 1 and attempt == TRIES - 1:
                    self._state.log.warning("a row was put aside", why=problem.why, digest=self._digest[:16])
                    yield _Aside(self._whole_kind(), self._file.fileno(), span, piece[0].line)
                continue
            # Lines are counted from the header of the piece; the sender counts them in the whole file.
            shift = piece[0].line - 1 - (1 if header[1] else 0)
            for batch in whole:
                assert isinstance(batch, Batch)
                yield replace(batch, refused=tuple(_shifted(x, shift) for x in batch.refused))
            return
        if len(piece) > 1:
            middle = len(piece) // 2
            yield from self._halved(header, piece[:middle])
            yield from self._halved(header, piece[middle:])

    def _whole_kind(self) -> str:
        kind = str(self._request["kind"])
        return kind if kind in KINDS else "tests" if kind == "hl7v2" else ""


def _shifted(refusal: Refusal, lines: int) -> Refusal:
    return replace(refusal, line=None if refusal.line is None else refusal.line + lines)


def _summed(kind: str, tallies: Any, rejects_file: str | None) -> FileReceipt:
    found = dict(tallies)
    named = {k for k in found if k}
    return FileReceipt(
        "",
        next(iter(named)) if len(named) == 1 else kind,
        sum(t.received for t in found.values()),
        sum(t.accepted for t in found.values()),
        sum(t.duplicate for t in found.values()),
        sum(t.refused for t in found.values()),
        sum(t.quarantined for t in found.values()),
        rejects_file,
        kinds=found,
    )


# ------------------------------------------------------------------------------------------------------- cutting a file


@dataclass(frozen=True, slots=True)
class _Record:
    """One record of a file: bytes [start, end), and the physical line on which it starts."""

    start: int
    end: int
    line: int


def _lines(fd: int, size: int, start: int, line: int) -> Iterator[tuple[_Record, int]]:
    """Physical lines with the number of quotes in each, in bounded memory however long a line is."""
    at, begin, quotes = start, start, 0
    while at < size:
        block = os.pread(fd, 1 << 20, at)
        if not block:
            break
        inside = 0
        while (stop := block.find(b"\n", inside)) >= 0:
            quotes += block.count(b'"', inside, stop)
            yield _Record(begin, at + stop + 1, line), quotes
            begin, quotes, line, inside = at + stop + 1, 0, line + 1, stop + 1
        quotes += block.count(b'"', inside)
        at += len(block)
    if begin < size:
        yield _Record(begin, size, line), quotes


def _csv_records(fd: int, size: int, longest: int) -> tuple[tuple[int, int], Iterator[_Record]]:
    """Header and records; a record goes on while a quote is open, but never beyond `longest` bytes, after which its
    first line stands alone (the reader's own rule for a quote that is never closed)."""

    def records() -> Iterator[_Record]:
        waiting: list[_Record] = []
        odd = False
        for line, quotes in _lines(fd, size, 0, 1):
            waiting.append(line)
            odd ^= bool(quotes % 2)
            if not odd:
                yield _Record(waiting[0].start, line.end, waiting[0].line)
                waiting = []
            elif line.end - waiting[0].start > longest:
                yield from waiting
                waiting, odd = [], False
        yield from waiting

    found = records()
    first = next(found, _Record(0, 0, 1))
    return (0, first.end), found


def _json_lines(fd: int, size: int, _longest: int) -> tuple[tuple[int, int], Iterator[_Record]]:
    return (0, 0), (line for line, _ in _lines(fd, size, 0, 1))


_MESSAGE = re.compile(rb"(?:^|(?<=[\r\n\x0b]))MSH(?=[^\w\s])")
_ENVELOPE = re.compile(rb"(?:^|(?<=[\r\n]))(?:FHS|BHS|BTS|FTS)(?=[^\w\s]|[\r\n]|$)")


def _messages(fd: int, size: int, _longest: int) -> tuple[tuple[int, int], Iterator[_Record]]:
    """HL7 messages without their envelope. The file has been held whole before, by the reader's own limit."""
    content = b""
    while len(content) < size and (block := os.pread(fd, size - len(content), len(content))):
        content += block
    starts = [m.start() for m in _MESSAGE.finditer(content)]
    stops = [m.start() for m in _ENVELOPE.finditer(content)]

    def records() -> Iterator[_Record]:
        for start, following in zip(starts, [*starts[1:], size], strict=True):
            end = min([following, *(s for s in stops if start < s)])
            text = content[:start]
            yield _Record(start, end, 1 + text.count(b"\r") + text.count(b"\n") - text.count(b"\r\n"))

    return (0, 0), records()


_SPLITTERS = {"csv": _csv_records, "ndjson": _json_lines, "hl7v2": _messages}


@dataclass(frozen=True, slots=True)
class _Aside:
    """Bytes of a file that broke every worker that read them."""

    kind: str
    fd: int
    span: tuple[int, int]
    line: int | None

    def keep(self, folder: Path, digest: str) -> None:
        """The bytes are in the quarantine folder, owner-only, with a note of where they come from."""
        name = f"{digest[:16]}-{token_hex(4)}"
        target = folder / f"{name}.bytes"
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as out:
            at, end = self.span
            while at < end:
                block = os.pread(self.fd, min(1 << 20, end - at), at)
                if not block:
                    break
                out.write(block)
                at += len(block)
        fsync_file(target)
        note = {"digest": digest, "kind": self.kind, "line": self.line, "bytes": list(self.span)}
        write_file(folder / f"{name}.json", json.dumps(note).encode(), mode=0o600)


# ------------------------------------------------------------------------------------------------------- rejects


class _Rejects:
    """The rejects file of one input, in the making: the sender's own rows, so it is owner-only from its first byte."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "rejects.csv"
        self._out: IO[str] | None = None
        self._columns: tuple[str, ...] = ()
        self._listed: list[dict[str, object]] = []

    def add(self, batch: Batch) -> None:
        if not batch.refused:
            return
        if self._out is None:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._out = os.fdopen(fd, "w", encoding="utf-8", newline="", errors="backslashreplace")
            self._columns = batch.columns
            self._out.write(reject_header(self._columns))
        self._out.writelines(reject_rows(batch.refused, self._columns))
        known = _known_columns(batch.kind)
        for x in batch.refused[: _LISTED - len(self._listed)]:
            column = x.column if x.column in known else None
            self._listed.append({"row": x.row, "line": x.line, "column": column, "code": str(x.code)})

    def close(self) -> None:
        if self._out is not None:
            self._out.close()

    def publish(self, folder: Path, kind: str, digest: str, tallies: dict[str, Tally]) -> str | None:
        """The file and its summary are durable in `folder`; the file's path, None when nothing was refused.

        The summary names rows, lines, known columns and codes: nothing that the sender wrote.
        """
        if self._out is None:
            return None
        name = f"{kind}-{digest[:12]}-{token_hex(4)}"
        codes: dict[str, int] = {}
        for tally in tallies.values():
            for code, count in tally.codes.items():
                codes[code] = codes.get(code, 0) + count
        summary = {"digest": digest, "kind": kind, "codes": codes, "rows": self._listed}
        write_file(folder / f"{name}.json", json.dumps(summary, sort_keys=True).encode(), mode=0o600)
        publish_file(self._path, folder / f"{name}.csv")
        fsync_folder(folder)
        return str(folder / f"{name}.csv")


def _known_columns(kind: str) -> set[str]:
    known = {"document_id", "document_version"}
    for c in KINDS[kind].columns:
        known.update(c.outer_names, (c.name,))
    return known
