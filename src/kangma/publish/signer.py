"""The signer: the one who holds the keys, and the book that says what may be signed.

It signs three things that doors believe, and nothing else: the checkpoint of a log that it has continued itself, lists
that it has derived itself from the turns in that log, and credentials whose place in a list it has chosen itself. A
colour that was written into a database has no turn in the log, so no door is ever shown it.

And one that only a resident's own phone believes: that a part of sealed slots is the city's. The signer cannot look into
them; a phone takes what it finds there for what `GET /v1/me/code` would say, and for no more.

`LocalSigner` does it in this process; `kangma.publish.socket` puts one behind a socket, in a process of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kangma.credential import issue
from kangma.credential.claims import Kind
from kangma.errors import Code, Corrupt, Refused, Unavailable
from kangma.publish import lists
from kangma.publish.book import EXTRA_LIST, Book, Family
from kangma.publish.issue import LIFE, Issued, Prepared, Proposal, prepare, sign
from kangma.publish.journal import Journal, Record
from kangma.sealed.part import Statement, state
from kangma.sealed.slot import PATH
from kangma.signing.keys import PublicKey
from kangma.signing.trust import Ceilings, Use
from kangma.status.lists import compress, digest
from kangma.store.durable import fsync_folder, publish_file, unavailable_when_the_disk_is, write_file
from kangma.store.keys import KEY_BYTES, read_key
from kangma.store.releases import Head
from kangma.store.signing import Signing, open_signing
from kangma.terms import DAY, Day, Moment, zone
from kangma.translog.entries import openings
from kangma.translog.tree import HASH

SALT = 32


@dataclass(frozen=True, slots=True)
class Order:
    """One credential to be signed. `holder`: the phone's public key, compressed (33 bytes); None for paper.

    A phone's is for local day `day`, today or one of the two after it; paper's begins with `day`, today. With `again` a
    phone's takes a place of its own instead of the person's daily one: a second phone, or one in place of a lost one.
    """

    person: int
    kind: Kind
    mask: str
    day: Day
    holder: bytes | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """Where the signer stands: the last release in its book, the log's head, its journal, its trust list."""

    number: int
    head: Head
    journal: int  # records, of which the last release
    sealed: int  # took in these
    trust: tuple[int, str]


class ReleaseSigner(Protocol):
    """What publication needs of a signer. Every call may raise Unavailable; what `publish` did is durable on return,
    and the same call again gives the same files."""

    def describe(self) -> Described: ...

    def propose(self, proposal: Proposal) -> Head:
        """The log's head with this release in it. Nothing is signed and nothing is kept. Unavailable over the rate
        ceiling, Corrupt when the proposal contradicts the book."""
        ...

    def publish(self, proposal: Proposal, head: Head) -> dict[str, bytes]:
        """The release's public files, signed, in the order of writing; `head` must be what `propose` said."""
        ...

    def credentials(self, orders: Sequence[Order], *, now: Moment) -> list[bytes]: ...

    def withdraw(self, person: int, *, now: Moment) -> int: ...

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes: ...


class LocalSigner:
    """A signer over the folder `signer/` of a state directory. One at a time: the folder is locked while it lives."""

    def __init__(self, state: Path) -> None:
        """Unavailable while another signer has the folder, Refused when the directory has no keys."""
        self.folder = state / "signer"
        open_signing(state)  # refused before anything is touched when there are no keys
        self._lock = _locked(self.folder / "at-work")
        self._state = state
        try:
            self._index = self._index_key()
            self._sweep()
            self.book = self._read("book")
            self.journal = Journal(self.folder / "journal")
        except BaseException:
            os.close(self._lock)
            raise
        self._raws: dict[str, bytes] = {}
        self._ready: Prepared | None = None
        self._deflated: dict[str, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def _index_key(self) -> bytes:
        """Made with the first use: whole or not at all, whatever happens meanwhile."""
        file = self.folder / "index.key"
        if not file.exists():
            with unavailable_when_the_disk_is():
                write_file(file, os.urandom(KEY_BYTES), mode=0o600)
        return read_key(file)

    def _sweep(self) -> None:
        """Half-written files of a signer that was killed are gone: a book says what colour everybody has."""
        for name in ("book", "book.before", "index.key"):
            for left in self.folder.glob(f".{name}.*.tmp"):
                left.unlink()

    def close(self) -> None:
        self._pool.shutdown()
        os.close(self._lock)

    def __enter__(self) -> LocalSigner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def signing(self) -> Signing:
        """Keys and trust list as they are on the disk now: a rotation needs no restart."""
        return open_signing(self._state)

    def describe(self) -> Described:
        current = self.signing().trust
        book = self.book
        return Described(
            book.number,
            Head(book.log.size, book.log.root),
            self.journal.count,
            book.issued,
            (current.version, current.digest.hex()),
        )

    # releases --------------------------------------------------------------------------------------------------------

    def propose(self, proposal: Proposal) -> Head:
        self._ready = self._prepare(self.book, proposal)
        self._deflated = self._deflating(self._ready)  # while the release is being recorded
        return self._ready.head

    def publish(self, proposal: Proposal, head: Head) -> dict[str, bytes]:
        if proposal.number == self.book.number:  # made before, and perhaps not written: the same again
            prepared = self._prepare(self._read("book.before"), proposal)
            self._deflated = self._deflating(prepared)
        elif self._ready is not None and (self._ready.book.number, self._ready.head) == (
            proposal.number,
            head,
        ):
            prepared = self._ready  # an equal head is an equal release: the root covers all of it
        else:
            prepared = self._prepare(self.book, proposal)
            self._deflated = self._deflating(prepared)
        if prepared.head != head:
            raise Corrupt("what is to be signed is not what was recorded")
        if proposal.number != self.book.number:
            self._keep(prepared)
        signing = self.signing()
        city = signing.trust.publisher
        status, since = signing.signer_since(Use.STATUS, proposal.now)
        return sign(
            prepared,
            status=status,
            since=since,
            log=signing.signer_since(Use.LOG, proposal.now)[0],
            base=city.base,
            origin=city.origin,
            deflated=lambda path: self._deflated[path].result(),
            several=self._pool.map,
        )

    def _deflating(self, prepared: Prepared) -> dict[str, Future[bytes]]:
        """The lists that are to be signed, being deflated on other threads; nothing is signed by that."""
        return {path: self._pool.submit(compress, prepared.raws[path]) for path in prepared.to_sign}

    def _prepare(self, book: Book, proposal: Proposal) -> Prepared:
        persons = proposal.turns["person"].to_numpy()
        return prepare(
            book,
            proposal,
            raws=self._raws_of(book),
            openings=openings(self._salts(persons), proposal.number),
            issued=self._issued(book, proposal),
            index_key=self._index,
            ceilings=self._ceilings(Use.STATUS, proposal.now),
        )

    def _ceilings(self, use: Use, at: Moment) -> Ceilings:
        """What the key that signs now may sign in a time, by the trust list that everybody can read."""
        signing = self.signing()
        key = signing.trust.key(signing.signer_since(use, at)[0].key_id)
        assert key is not None
        assert key.ceilings is not None
        return key.ceilings

    def _keep(self, prepared: Prepared) -> None:
        """The book of the new release is durable, and the one before it beside it: the same file under another name."""
        book, before = self.folder / "book", self.folder / ".book.before.tmp"
        with unavailable_when_the_disk_is():
            if self.book.number:
                before.unlink(missing_ok=True)
                os.link(book, before)
                publish_file(before, self.folder / "book.before")
            write_file(book, prepared.book.to_bytes(), mode=0o600)
        self.book, self._raws, self._ready = prepared.book, dict(prepared.raws), None

    def _raws_of(self, book: Book) -> Mapping[str, bytes]:
        """The bytes of every list of a book: kept, or derived anew and held against the digests that the log has."""
        if book is self.book and self._raws.keys() >= book.listed.keys():
            return self._raws
        issued = self.journal.up_to(book.issued)
        raws: dict[str, bytes] = {}
        for family in book.families:
            holders = issued.holders(family.name) if family.extra else None
            gone = book.withdrawn.get(family.name, ())
            raws |= lists.whole(family, book.shown, holders, gone, key=self._index)
        for path, said in book.listed.items():
            if path in raws and digest(raws[path]).hex() != said.digest:
                raise Corrupt(f"list {path} is not what the log says it is")
        if book is self.book:
            self._raws = raws
        return raws

    def _issued(self, book: Book, proposal: Proposal) -> Issued:
        if proposal.journal < book.issued or proposal.journal > self.journal.count:
            raise Corrupt("the journal of credentials was rolled back")
        known, fresh = (
            self.journal.up_to(proposal.journal),
            self.journal.between(book.issued, proposal.journal),
        )
        today = zone(proposal.zone).day(proposal.now)
        found = [f for f in known.families() if f.day >= today - issue.PAPER_DAYS]
        return Issued(
            tuple(found),
            {f.name: known.holders(f.name) for f in found},
            {f.name: len(fresh.holders(f.name)) for f in found},
            fresh.digests(),
            fresh.withdrawn(),
            fresh.seal(self._index),
        )

    def _salts(self, persons: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """(n, 32) the salt of each person; who has none yet gets one, durable on return."""
        fd = os.open(self.folder / "salts", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with unavailable_when_the_disk_is(), contextlib.closing(os.fdopen(fd, "r+b")) as file:
            need = (int(persons[-1]) + 1) * SALT if len(persons) else 0
            if not need:
                return np.zeros((0, SALT), np.uint8)
            if os.fstat(fd).st_size < need:
                os.ftruncate(fd, need)
                fsync_folder(self.folder)  # the file may be new
            mapped = np.memmap(file, np.uint8, "r+", shape=(need // SALT, SALT))
            found = np.asarray(mapped[persons])
            missing = ~found.any(axis=1)
            if missing.any():
                found[missing] = np.frombuffer(os.urandom(SALT * int(missing.sum())), np.uint8).reshape(
                    -1, SALT
                )
                mapped[persons[missing]] = found[missing]
                mapped.flush()
            # Also when none was missing: a signer that was killed before this line left salts that can be read and
            # that a power cut would still take.
            os.fsync(fd)
            return found

    # credentials -----------------------------------------------------------------------------------------------------

    def credentials(self, orders: Sequence[Order], *, now: Moment) -> list[bytes]:
        """The signed credentials, in order; all are in the journal, durable, when this returns.

        Refused for a person of whom no release speaks yet, a day that is not today or one of the next two, and a kind
        that the key does not cover. Unavailable while the kill switch is on, or above the key's ceiling a minute.
        """
        signing = self.signing()
        city, signer = signing.trust.publisher, signing.signer(Use.CREDENTIAL, now)
        here = zone(city.zone)
        today = here.day(now)
        most = self._ceilings(Use.CREDENTIAL, now).credentials_a_minute
        if self.journal.issued_since(now - 60) + len(orders) > most:
            raise Unavailable("more credentials a minute than the key may sign")
        records: list[Record] = []
        made = []
        for order in orders:
            family, place = self._place(order, today, records)
            where = issue.Place(family.name, *lists.split(family, place))
            if order.kind is Kind.PAPER:
                claims = issue.on_paper(city, here, order.day, where, order.mask)
            else:
                holder = PublicKey.from_point(order.holder or b"")
                claims = issue.of_a_day(city, here, order.day, where, order.mask, holder, kind=order.kind)
            signed = issue.sign(claims, signer)
            digest = hashlib.sha256(signed).digest()
            records.append(
                Record.issued(order.kind, family, order.person, place, now, claims.expires, digest)
            )
            made.append(signed)
        self.journal.append(records)
        return made

    def _place(self, order: Order, today: Day, pending: Sequence[Record]) -> tuple[Family, int]:
        if not 0 <= order.person < len(self.book.shown):
            raise Refused(Code.NO_PERSON, hint="no release speaks of this person yet")
        if not today <= order.day < today + 3:
            raise Refused(Code.BAD_DATE, hint="credentials are for today and the next two days")
        if order.kind is Kind.PHONE and not order.again:
            for family in self.book.families:
                inside = family.first <= order.person < family.first + family.capacity
                if family.day == order.day and not family.extra and inside:
                    places = lists.permutation(self._index, family)
                    return family, places.place(order.person - family.first)
            raise Unavailable("the lists of that day come with the next release")
        known = self.journal.up_to(self.journal.count)
        taken = sum(r.extra and r.day == order.day for r in pending) + known.extras_of(order.day)
        series, sequence = divmod(taken, EXTRA_LIST)
        name = f"x{order.day}.{series}" if series else f"x{order.day}"
        family = Family(name, order.day, 0, EXTRA_LIST, extra=True)
        return family, lists.permutation(self._index, family).place(sequence)

    def withdraw(self, person: int, *, now: Moment) -> int:
        """Every credential of a person that is out is withdrawn with the next release; how many places that are.
        New ones are issued with `again`, or as paper."""
        if not 0 <= person < len(self.book.shown):
            raise Refused(Code.NO_PERSON, hint="no release speaks of this person yet")
        places = []
        for family in self.book.families:
            if family.extra or not family.first <= person < family.first + family.capacity:
                continue
            places.append((family, lists.permutation(self._index, family).place(person - family.first)))
        known = self.journal.up_to(self.journal.count)
        places += [(f, place) for f, place in known.places_of(person, alive_at=now)]
        self.journal.append([Record.withdrawal(f, person, place, now) for f, place in places])
        return len(places)

    # sealed slots ----------------------------------------------------------------------------------------------------

    def sealed(self, path: str, root: bytes, release: int, *, ttl: int, now: Moment) -> bytes:
        """The statement that a part of sealed slots with this Merkle root stands at `path`, as at `release`.

        Refused for another path than a part's of today or yesterday, a release that there was not, and what is no root.
        """
        signing = self.signing()
        city = signing.trust.publisher
        signer, since = signing.signer_since(Use.STATUS, now)
        found = PATH.fullmatch(path)
        today = zone(city.zone).day(now)
        if found is None or int(found[1]) not in (today - 1, today):
            raise Refused(Code.BAD_VALUE, hint="not a part of sealed slots of today")
        if not 1 <= release <= self.book.number:
            raise Refused(Code.BAD_NUMBER, hint="no such release yet")
        if len(root) != HASH or not 1 <= ttl <= DAY:
            raise Refused(Code.BAD_VALUE, hint="not a root, or not its time")
        iat = max(now, since)
        said = Statement(f"{city.base}/{path}", iat, iat + LIFE, ttl, release, self.book.log.size, root)
        return state(said, signer)

    # ------------------------------------------------------------------------------------------------------------------

    def _read(self, name: str) -> Book:
        try:
            return Book.from_bytes((self.folder / name).read_bytes())
        except FileNotFoundError:
            return Book()


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Unavailable("another signer is at work on this state directory") from None
    return fd
