"""What sources send through the front door: taken in once for each idempotency key, and held back when a batch brings far
more positives than its source ever does.

1 the key is noted with what was sent (front.sqlite: begun), and the last receipt there was
2 the body is taken in by `receive`: everything that counts is durable, and the registry has a receipt
3 the receipt is noted with the key (front.sqlite: taken, refused or held)
4 the answer goes out
A kill between 2 and 3 leaves a key without its receipt. Whoever sends the same again with that key is given the receipt
of step 2, which is the one of this feed and body after the last of step 1; the body is not read twice. All of it is done
under the source's own lock, which threads and processes share.

A held batch lies sealed in `front/held`, before the registry counts its rows as quarantined. Nothing of it is evidence
until two people released it; then it is taken in as if it came now, under its source's name. It is thrown away only after
that, or when two people rejected it.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kangma.errors import Code, Conflict, Corrupt, Refused, Unavailable, Where
from kangma.intake.documents import Batch, Refusal
from kangma.intake.limits import DEFAULT as LIMITS
from kangma.store import front_schema as db
from kangma.store import registry as r
from kangma.store.durable import WriterLock, fsync_folder, write_file
from kangma.store.forms import TABLES
from kangma.store.front import FrontStore
from kangma.store.front_clients import Client, ClientStore
from kangma.store.inbox import Manifest
from kangma.store.keys import make_key, read_key
from kangma.store.receive import FileReceipt, receive, sandbox_for
from kangma.store.sandbox import Sandbox
from kangma.store.state import State
from kangma.terms import DAY, HOUR, Moment

MOST_BODY = 64 << 20
HELD, HELD_KEY, LOCKS = "held", "held.key", "locks"
USUAL_DAYS = 14  # over which a source's usual is found
RELEASE, REJECT = "release", "reject"
AT_ONCE = 2  # bodies that are read at a time
PATIENCE = 30.0  # seconds that a source waits for its own batch before, or for a reader
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Sent:
    """One body as it came: `fd` of a file in memory, SHA-256 (hex), size. `form` as `kangma.store.forms` names it."""

    fd: int
    digest: str
    size: int
    kind: str
    form: str
    kinds: tuple[str, ...]  # that messages may hold
    manifest: Manifest | None

    def said(self) -> dict[str, Any]:
        manifest = None if self.manifest is None else asdict(self.manifest)
        return {"kind": self.kind, "form": self.form, "kinds": list(self.kinds), "manifest": manifest}

    def request(self) -> bytes:
        """32 bytes that are others when anything about the request is. What messages may hold is the client's, not the
        request's."""
        said = {**self.said(), "kinds": None, "digest": self.digest}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one body. received = accepted + duplicate + refused + quarantined.

    state: taken, refused (whole, for `problem`), held, released (its rows are in the receipt `became`), rejected.
    """

    number: int
    kind: str
    received: int
    accepted: int
    duplicate: int
    refused: int
    quarantined: int
    state: str
    became: int | None = None
    problem: dict[str, str] | None = None

    @property
    def rejects(self) -> str | None:
        return f"/source/v1/receipts/{self.number}/rejects" if self.refused else None


@dataclass(frozen=True, slots=True)
class HeldBatch:
    """A batch that waits for two people."""

    submission: str
    source: str
    receipt: int
    at: Moment
    positives: int
    usual: float  # positives of a batch of this source
    agreed: tuple[tuple[str, str], ...]  # (release or reject, officer)


class NoReceipt(Refused):
    def __init__(self) -> None:
        super().__init__(Code.NOT_IN_LIST, Where(path="receipt"), "no receipt of yours has this number")


def _not_held() -> Refused:
    return Refused(Code.NOT_IN_LIST, Where(path="submission"), "nothing that is held has this name")


class _Gate:
    """What one client's body must pass, batch by batch."""

    def __init__(self, feed: str, form: str, kinds: Sequence[str], stop: Callable[[int], bool]) -> None:
        self._feed, self._stop = feed, stop
        # A message takes its own sender's documents back by a status; tables are of the kind that was asked for.
        self._kinds = {*kinds, "retractions"} if form not in TABLES else set(kinds)
        self.positives = 0

    def begin(self) -> None:
        self.positives, self._before = 0, 0

    def judged(self, batch: Batch) -> Batch:
        before, self._before = self._before, self._before + batch.received
        if batch.kind not in self._kinds:
            return _without(batch, pa.array([True] * len(batch.accepted)), "kind", before)
        if batch.kind == "retractions":
            source = batch.accepted.column("source")
            others = pc.fill_null(pc.not_equal(source, self._feed), False)
            batch = _without(batch, others, "source", before)
        self.positives += _positives(batch)
        return batch

    def hold(self) -> bool:
        return self._stop(self.positives)


def _positives(batch: Batch) -> int:
    """Documents that make somebody a case: positive tests, and cases."""
    if batch.kind == "cases":
        return len(batch.accepted)
    if batch.kind != "tests":
        return 0
    found = pc.sum(pc.equal(batch.accepted.column("result"), "positive")).as_py()
    return int(found or 0)


def _without(batch: Batch, which: pa.BooleanArray, column: str, before: int) -> Batch:
    """The batch with these of its accepted rows refused: their sender may not send them."""
    gone = [i for i, is_gone in enumerate(which.to_pylist()) if is_gone]
    if not gone:
        return batch
    refused = {x.row for x in batch.refused}
    rows = [n for n in range(before + 1, before + batch.received + 1) if n not in refused]
    hint = "your own feed" if column == "source" else "a kind in your scopes"
    more = tuple(
        Refusal(rows[i] if i < len(rows) else before + 1, None, column, None, Code.NOT_ALLOWED, hint)
        for i in gone
    )
    left = batch.accepted.filter(pc.invert(which))
    # Identities come with the rows that name them; of a batch that is refused whole none is kept.
    secrets = batch.secrets if len(left) else None
    return replace(batch, accepted=left, secrets=secrets, refused=(*batch.refused, *more))


class Submissions:
    """Takes bodies in. Threads may share one; a source's bodies are taken one after another, whoever takes them."""

    def __init__(self, state: State, front: FrontStore) -> None:
        self._state, self._front = state, front
        self._clients = ClientStore(front)
        self._folder = front.folder / HELD
        self._locks: dict[int, WriterLock] = {}
        self._guard = threading.Lock()
        self._readers: queue.LifoQueue[Sandbox] = queue.LifoQueue()
        self._closing = ExitStack()
        limits = replace(LIMITS, file_bytes=MOST_BODY)
        self._limits = limits
        for _ in range(AT_ONCE):
            self._readers.put(self._closing.enter_context(sandbox_for(state, limits)))

    def close(self) -> None:
        self._closing.close()

    # taking in ----------------------------------------------------------------------------------------------------

    def take(self, client: Client, key: str, sent: Sent, *, now: Moment) -> tuple[Receipt, bool]:
        """The receipt of this body, and whether it was made by this call. Conflict when the key came with another
        request before; Unavailable when another body of this source is being read and does not end."""
        digest, request = self._front.digest("idempotency", client.number, key), sent.request()
        with self._alone(client):
            row = self._noted(client, digest, request, sent, now)
            if row.state == "begun":
                found = self._durable_since(client, row, row.after)
                if found is not None:
                    self._note(row.submission, found, row.positives)
                    return found, False
                return self._take(client, row.submission, sent, now=now), True
            return self._known(client, row), False

    @contextmanager
    def _alone(self, client: Client) -> Iterator[None]:
        folder = self._front.folder / LOCKS
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._guard:
            lock = self._locks.setdefault(client.number, WriterLock(folder / str(client.number)))
        with ExitStack() as held:
            try:
                held.enter_context(lock.hold(wait=PATIENCE))
            except Unavailable:
                raise Unavailable("another batch of yours is being read") from None
            yield

    @contextmanager
    def _reader(self) -> Iterator[Sandbox]:
        try:
            reader = self._readers.get(timeout=PATIENCE)
        except queue.Empty:
            raise Unavailable("others' batches are being read") from None
        try:
            yield reader
        finally:
            self._readers.put(reader)

    def _noted(self, client: Client, key: bytes, request: bytes, sent: Sent, now: Moment) -> sa.Row[Any]:
        """The row of this key, begun if it is new."""
        c = db.submissions.c
        with self._state.registry.read() as on:
            after = int(on.execute(sa.select(sa.func.max(r.receipts.c.receipt))).scalar() or 0)
        mine = sa.select(db.submissions).where(c.client == client.number, c.key == key)
        with self._front.write() as on:
            row = on.execute(mine).first()
            if row is None:
                on.execute(
                    sa.insert(db.submissions).values(
                        submission=token_hex(16), client=client.number, key=key, request=request,
                        said=json.dumps(sent.said()), digest=sent.digest, state="begun", after=after, positives=0, at=now,
                    )
                )  # fmt: skip
                row = on.execute(mine).one()
        if bytes(row.request) != request:
            raise Conflict("this idempotency key came with something else before")
        return row

    def _take(self, client: Client, submission: str, sent: Sent, *, now: Moment) -> Receipt:
        def stop(positives: int) -> bool:
            self._count(submission, positives)  # before it is durable: a kill must not make the brake forget
            if not self._too_many(client, positives, now):
                return False
            self._seal(submission, sent.fd)
            return True

        gate = _Gate(client.name, sent.form, sent.kinds, stop)
        got = self._receive(client, sent.fd, sent.form, sent.kind, sent.manifest, gate, now=now)
        receipt = replace(self._said(got), kind=sent.kind)
        self._note(submission, receipt, gate.positives)
        return receipt

    def _receive(
        self,
        client: Client,
        fd: int,
        form: str,
        kind: str,
        manifest: Manifest | None,
        gate: _Gate,
        *,
        now: Moment,
    ) -> FileReceipt:
        with self._reader() as reader:
            return receive(
                self._state, Path(f"/proc/self/fd/{fd}"), kind=kind, form=form, feed=client.name, manifest=manifest,
                zone=client.zone, now=now, limits=self._limits, sandbox=reader, gate=gate,
            )  # fmt: skip

    @staticmethod
    def _said(got: FileReceipt) -> Receipt:
        problem = None
        if got.code is not None:
            problem = {"code": str(got.code), "where": got.where, "hint": got.hint}
        state = "held" if got.held else "taken" if problem is None else "refused"
        return Receipt(
            got.number, got.kind, got.received, got.accepted, got.duplicate, got.refused, got.quarantined, state, None,
            problem,
        )  # fmt: skip

    def _durable_since(self, client: Client, row: sa.Row[Any], after: int) -> Receipt | None:
        """The receipt that step 2 left behind: of this body, above `after`."""
        c = r.receipts.c
        query = sa.select(c.receipt).where(
            c.feed == client.name, c.file_digest == row.digest, c.receipt > after
        )
        with self._state.registry.read() as on:
            number = on.execute(query.order_by(c.receipt)).scalar()
        if number is None:
            return None
        found = self._of_registry(client.name, int(number))
        found = replace(found, kind=json.loads(row.said)["kind"])
        held = found.quarantined == found.received and self._held_file(row.submission).exists()
        return replace(found, state="held") if held else found

    def _note(self, submission: str, receipt: Receipt, positives: int) -> None:
        # What was here before is no news: of a batch that was taken only as many as were kept can be.
        news = positives if receipt.state == "held" else min(positives, receipt.accepted)
        problem = None if receipt.problem is None else json.dumps(receipt.problem)
        self._set(submission, state=receipt.state, receipt=receipt.number, problem=problem, positives=news)

    def _count(self, submission: str, positives: int) -> None:
        self._set(submission, positives=positives)

    def _set(self, submission: str, **values: Any) -> None:
        with self._front.write() as on:
            on.execute(
                sa.update(db.submissions).where(db.submissions.c.submission == submission).values(**values)
            )

    def _known(self, client: Client, row: sa.Row[Any]) -> Receipt:
        problem = None if row.problem is None else json.loads(row.problem)
        found = self._of_registry(client.name, row.receipt)
        kind = json.loads(row.said)["kind"]
        return replace(found, kind=kind, state=row.state, became=row.became, problem=problem)

    # receipts -----------------------------------------------------------------------------------------------------

    def receipt(self, client: Client, number: int) -> Receipt:
        """A receipt of this source's own. Raises NoReceipt for anybody else's, and for none."""
        c = db.submissions.c
        with self._front.read() as on:
            row = on.execute(
                sa.select(db.submissions).where(c.client == client.number, c.receipt == number)
            ).first()
        return self._of_registry(client.name, number) if row is None else self._known(client, row)

    def _of_registry(self, feed: str, number: int) -> Receipt:
        c = r.receipts.c
        with self._state.registry.read() as on:
            rows = on.execute(sa.select(r.receipts).where(c.receipt == number, c.feed == feed)).all()
        if not rows:
            raise NoReceipt
        kinds = [row.kind for row in rows]
        names = ("received", "accepted", "duplicate", "refused", "quarantined")
        received, accepted, duplicate, refused, quarantined = (
            sum(getattr(x, n) for x in rows) for n in names
        )
        code = rows[0].code
        problem = None if code is None else {"code": code, "where": "", "hint": ""}
        state = "taken" if code is None else "refused"
        kind = kinds[0] if len(kinds) == 1 else ""
        return Receipt(
            number, kind, received, accepted, duplicate, refused, quarantined, state, None, problem
        )

    def rejects(self, client: Client, number: int) -> list[dict[str, Any]]:
        """The refused rows of a receipt: row, line, column, code; at most a thousand. Nothing that was sent."""
        receipt = self.receipt(client, number)
        if not receipt.refused:
            return []
        c = r.receipts.c
        with self._state.registry.read() as on:
            found = on.execute(
                sa.select(c.file_digest, c.codes).where(c.receipt == number, c.feed == client.name)
            ).all()
        codes: Counter[str] = Counter()
        for row in found:
            codes.update(json.loads(row.codes))
        digest = found[0].file_digest
        for file in sorted((self._state.path / "rejects").glob(f"*-{digest[:12]}-*.json")):
            said = json.loads(file.read_bytes())
            # The same bytes may have come as another kind, or from somebody who may send less.
            if said["digest"] == digest and said["codes"] == codes:
                rows: list[dict[str, Any]] = said["rows"]
                return rows
        raise Corrupt("the list of a receipt's refused rows is not there")

    # the brake ----------------------------------------------------------------------------------------------------

    def usual(self, client: Client, *, now: Moment) -> tuple[float, float]:
        """Positives of a usual batch, and of a usual hour in which anything came: means of the last fortnight, without
        the last hour. (0.0, 0.0) for a source without a past."""
        c = db.submissions.c
        past = (
            c.client == client.number, c.state.in_(("taken", "released")),
            c.at > now - USUAL_DAYS * DAY, c.at <= now - HOUR,
        )  # fmt: skip
        hours = sa.func.count(sa.distinct(c.at // HOUR))
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(c.positives), 0), hours).where(*past)
        with self._front.read() as on:
            batches, positives, of_hours = on.execute(query).one()
        return (positives / batches, positives / of_hours) if batches else (0.0, 0.0)

    def _too_many(self, client: Client, positives: int, now: Moment) -> bool:
        """More than so many times the usual, of a batch or of the last hour with it; never below the floor."""
        if not client.brake_factor or not positives:
            return False
        c = db.submissions.c
        lately = (
            c.client == client.number, c.state.in_(("taken", "released")), c.at > now - HOUR, c.at <= now
        )  # fmt: skip
        with self._front.read() as on:
            hour = on.execute(
                sa.select(sa.func.coalesce(sa.func.sum(c.positives), 0)).where(*lately)
            ).scalar_one()
        batch, usual_hour = self.usual(client, now=now)
        floor, factor = client.brake_floor, client.brake_factor
        return positives > max(floor, factor * batch) or hour + positives > max(floor, factor * usual_hour)

    def _held_file(self, submission: str) -> Path:
        return self._folder / f"{submission}.sealed"

    def _key(self) -> AESGCM:
        path = self._front.folder / HELD_KEY
        if not path.exists():
            with suppress(Conflict):  # two who want it at once get the same
                make_key(path)
        return AESGCM(read_key(path))

    def _seal(self, submission: str, fd: int) -> None:
        """The body is durable, sealed, before this returns."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        content, nonce = os.pread(fd, MOST_BODY + 1, 0), token_bytes(_NONCE)
        sealed = nonce + self._key().encrypt(nonce, content, submission.encode())
        write_file(self._held_file(submission), sealed, mode=0o600)

    def _opened(self, submission: str) -> bytes:
        try:
            sealed = self._held_file(submission).read_bytes()
            return self._key().decrypt(sealed[:_NONCE], sealed[_NONCE:], submission.encode())
        except (FileNotFoundError, InvalidTag):
            raise Corrupt("a held batch is not there, or is not what was put away") from None

    def held(self, *, now: Moment) -> list[HeldBatch]:
        """What waits for two people, the oldest first."""
        c = db.submissions.c
        clients = {x.number: x for x in self._clients.all()}
        with self._front.read() as on:
            rows = on.execute(
                sa.select(db.submissions).where(c.state == "held").order_by(c.at, c.submission)
            ).all()
            agreed = on.execute(sa.select(db.agreements).order_by(db.agreements.c.at)).all()
        return [
            HeldBatch(
                x.submission, clients[x.client].name, x.receipt, x.at, x.positives,
                self.usual(clients[x.client], now=now)[0],
                tuple((a.what, a.officer) for a in agreed if a.submission == x.submission),
            )
            for x in rows
        ]  # fmt: skip

    def agree(self, submission: str, what: str, officer: str, *, now: Moment) -> Receipt | None:
        """One person agrees that a held batch is released or rejected. None while a second is missing; then the receipt:
        of its rows when it was released, of what was held when it was rejected. Refused (same_officer) for the same
        person twice.

        May be killed anywhere: whoever agreed second agrees again.
        """
        if not (officer.isprintable() and 1 <= len(officer.strip()) <= 64):
            raise Refused(Code.BAD_VALUE, Where(path="officer"), "1 to 64 printable characters")
        client = self._source_of(submission)
        with self._alone(client):
            row = self._agreed(submission, what, officer, now)
            if row is None:
                return None
            if what == REJECT:
                return self._settle(client, row, "rejected", None)
            return self._release(client, row, now=now)

    def _source_of(self, submission: str) -> Client:
        c = db.submissions.c
        with self._front.read() as on:
            number = on.execute(
                sa.select(c.client).where(c.submission == submission, c.state == "held")
            ).scalar()
        if number is None:
            raise _not_held()
        return next(x for x in self._clients.all() if x.number == number)

    def _agreed(self, submission: str, what: str, officer: str, now: Moment) -> sa.Row[Any] | None:
        """One more word is noted; the held batch when it was the second."""
        c, a = db.submissions.c, db.agreements.c
        with self._front.write() as on:
            row = on.execute(
                sa.select(db.submissions).where(c.submission == submission, c.state == "held")
            ).first()
            if row is None:
                raise _not_held()
            others = list(
                on.execute(sa.select(a.officer).where(a.submission == submission, a.what == what)).scalars()
            )
            if others == [officer]:
                raise Refused(Code.SAME_OFFICER, hint="a second person must agree")
            if officer not in others:
                on.execute(
                    sa.insert(db.agreements).values(submission=submission, what=what, officer=officer, at=now)
                )
        return row if others else None

    def _release(self, client: Client, row: sa.Row[Any], *, now: Moment) -> Receipt:
        """Its rows are taken in, once: a kill after that is noticed by the receipt above the held one's. Raises Refused
        when they cannot be any more, and then it stays held."""
        became = self._durable_since(client, row, row.receipt)
        if became is None or became.problem is not None:
            said = json.loads(row.said)
            manifest = None if said["manifest"] is None else Manifest(**said["manifest"])
            gate = _Gate(client.name, said["form"], said["kinds"], lambda _: False)
            with body_in_memory(self._opened(row.submission)) as fd:
                got = self._receive(client, fd, said["form"], said["kind"], manifest, gate, now=now)
            if got.code is not None:
                raise Refused(got.code, hint=got.hint)
            became = self._of_registry(client.name, got.number)
        self._settle(client, row, "released", became.number)
        return became

    def _settle(self, client: Client, row: sa.Row[Any], state: str, became: int | None) -> Receipt:
        self._set(row.submission, state=state, became=became)
        self._held_file(row.submission).unlink(missing_ok=True)
        fsync_folder(self._folder)
        return replace(self._of_registry(client.name, row.receipt), state=state, became=became)


@contextmanager
def body_in_memory(content: bytes) -> Iterator[int]:
    """The descriptor of a file in memory that holds this: a body names people, and never lies on a disk unsealed."""
    fd = os.memfd_create("body", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        yield fd
    finally:
        os.close(fd)
