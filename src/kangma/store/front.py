"""The front door's store: bindings, devices, others and looks. Every call that returned is durable.

What is promised to who asks from outside: a binding of nobody costs the same statements and comes to the same end as one
of somebody, and no refusal here tells which it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Conflict, Corrupt, Refused, Where
from kangma.store import front_schema as db
from kangma.store.keys import KEY_BYTES, make_key, read_key
from kangma.store.registry import as_ours, open_engine
from kangma.terms import DAY, Day, Moment

FOLDER, FILE, TOKEN_KEY = "front", "front.sqlite", "token.key"
CODE_LIVES = 600  # seconds
CODE_TRIES = 5
CODES_AN_HOUR = 5  # that are sent to one person, whoever asks for them
MOST_DEVICES = 5
MOST_OTHERS = 4
LOOKS_KEPT = 28 * DAY


@dataclass(frozen=True, slots=True)
class Resident:
    """Who has bound a document."""

    slot: int
    person: int
    resident: str  # 32 hex digits: what their own devices call them, and nobody else
    token_turn: int
    again_until: Day | None
    change: int
    bound: bool  # False for who has left


@dataclass(frozen=True, slots=True)
class Device:
    device: str
    public: bytes  # compressed P-256 point
    made_at: Moment
    seen_at: Moment
    signed_at: Moment


@dataclass(frozen=True, slots=True)
class Other:
    """Somebody for whom a resident may show a code."""

    other: int
    person: int
    how: str  # guardian, consent
    made_at: Moment


@dataclass(frozen=True, slots=True)
class Guardianship:
    """A child at a place (`other`) of the resident who is its guardian; both persons by number."""

    slot: int
    other: int
    child: int
    guardian: int


@dataclass(frozen=True, slots=True)
class Carer:
    """Somebody who may show a person's code, as that person knows them: by no name."""

    carer: str  # 16 hex digits
    how: str
    made_at: Moment


@dataclass(frozen=True, slots=True)
class Look:
    at: Moment
    who: str
    purpose: str


class NotTheCode(Refused):
    """A code that does not confirm: wrong, used, too late, tried too often, or of no binding at all. Always the same."""

    def __init__(self) -> None:
        super().__init__(
            Code.BAD_VALUE, Where(path="code"), "not the code, or it is over: ask for another one"
        )


class NoResident(Refused):
    """No resident who is bound has this number or name."""

    def __init__(self) -> None:
        super().__init__(Code.NO_PERSON, hint="nobody is bound here any more: bind anew")


def prepare(state: Path) -> Path:
    """The folder `front/` of a state directory with its token key; made when missing, durable on return."""
    folder = state / FOLDER
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not (folder / TOKEN_KEY).exists():
        with contextlib.suppress(Conflict):  # two who want it at once get the same
            make_key(folder / TOKEN_KEY)
    return folder


class FrontStore:
    """Over `front/front.sqlite`. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        """Opens or makes the file, brought to the newest format. Corrupt for a format that this program cannot read."""
        self.folder = folder
        path = folder / FILE
        self._engine = open_engine(path)
        self._reading = self._engine.execution_options(writes=False)
        with as_ours(), self._engine.begin() as on:
            if not sa.inspect(on).has_table(db.settings.name):
                db.make(on)
            said = on.execute(sa.select(db.settings)).all()
            settings = {row.name: bytes(row.value) for row in said}
            if not db.migrate(on, settings["format"].decode()):
                raise Corrupt("front.sqlite is of another format")
        path.chmod(0o600)
        self._decoys = settings["decoys"]

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> FrontStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """One transaction, for the stores beside this one that share its file."""
        return self._write()

    def read(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """The same for reading only."""
        return self._read()

    def digest(self, what: str, *parts: object) -> bytes:
        """16 bytes that stand for these, keyed: nobody who has the file can try out what they were."""
        said = "\0".join([what, *(str(part) for part in parts)]).encode()
        return hashlib.blake2s(said, key=self._decoys, digest_size=16).digest()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with as_ours(), self._engine.begin() as on:
            yield on

    @contextlib.contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with as_ours(), self._reading.begin() as on:
            yield on

    # bindings ------------------------------------------------------------------------------------------------------

    def begin(
        self, person: int | None, code: str, *, now: Moment, slot: int | None = None
    ) -> tuple[str, bool]:
        """A binding that `code` confirms, and whether the code may be sent: not to nobody, and not more than
        `CODES_AN_HOUR` to one person. `slot`: the resident on whose behalf another is asked."""
        binding = secrets.token_urlsafe(16)
        c = db.bindings.c
        with self._write() as on:
            on.execute(sa.delete(db.bindings).where(c.expires_at < now - DAY))
            # -1 is nobody's number: the count costs the same for somebody and for nobody.
            recent = sa.select(sa.func.count()).where(
                c.person == (-1 if person is None else person), c.made_at > now - 3_600
            )
            sent = on.execute(recent).scalar_one()
            on.execute(
                sa.insert(db.bindings).values(
                    binding=binding, person=person, slot=slot, digest=self._digest(binding, code), tries=0,
                    made_at=now, expires_at=now + CODE_LIVES,
                )
            )  # fmt: skip
        return binding, person is not None and sent < CODES_AN_HOUR

    def _digest(self, binding: str, code: str) -> bytes:
        return hashlib.blake2s(f"{binding} {code}".encode(), key=self._decoys, digest_size=16).digest()

    def _confirmed(
        self, on: sa.Connection, binding: str, code: str, *, slot: int | None, now: Moment
    ) -> int | None:
        """The person whom the binding names, used up; None when it does not confirm. The try is counted either way."""
        c = db.bindings.c
        row = on.execute(sa.select(db.bindings).where(c.binding == binding)).first()
        right = hmac.compare_digest(b"" if row is None else row.digest, self._digest(binding, code))
        if row is None:
            return None
        alive = row.used_at is None and row.tries < CODE_TRIES and now < row.expires_at and row.slot == slot
        good = right and alive and row.person is not None
        used = now if good else row.used_at
        on.execute(
            sa.update(db.bindings).where(c.binding == binding).values(tries=row.tries + 1, used_at=used)
        )
        return int(row.person) if good else None

    def confirm(self, binding: str, code: str, public: bytes, *, now: Moment) -> tuple[Resident, str]:
        """The resident, bound to a device with this key, and the device's name. Raises NotTheCode.

        A sixth device takes the place of the one that was seen longest ago; then all tokens are new.
        """
        with self._write() as on:
            person = self._confirmed(on, binding, code, slot=None, now=now)
            if person is not None:
                return self._bound(on, person, public, now)
        raise NotTheCode

    def _bound(self, on: sa.Connection, person: int, public: bytes, now: Moment) -> tuple[Resident, str]:
        r, d = db.residents.c, db.devices.c
        slot = self.slot_for(on, person, now)
        live = sa.select(d.device).where(d.slot == slot, d.closed_at.is_(None)).order_by(d.seen_at, d.device)
        there = list(on.execute(live).scalars())
        if len(there) >= MOST_DEVICES:
            self._end(on, slot, there[: len(there) - MOST_DEVICES + 1], now)
        device = secrets.token_hex(8)
        on.execute(
            sa.insert(db.devices).values(
                device=device, slot=slot, public=public, made_at=now, seen_at=now, signed_at=0
            )
        )
        return _resident(on.execute(sa.select(db.residents).where(r.slot == slot)).one()), device

    def slot_for(self, on: sa.Connection, person: int, now: Moment) -> int:
        """The slot of who binds, or of whom somebody cares for: the one that they have or had, else a new one. Its answer
        is prepared from now on."""
        r = db.residents.c
        row = on.execute(sa.select(db.residents).where(r.person == person)).first()
        if row is not None and row.closed_at is None:
            return int(row.slot)
        fresh = {"resident": secrets.token_hex(16), "change": _next(on), "closed_at": None}
        if row is not None:  # somebody who had left: the token turn goes on, so tokens of that time stay dead
            on.execute(sa.update(db.residents).where(r.slot == row.slot).values(**fresh))
        else:
            on.execute(sa.insert(db.residents).values(person=person, token_turn=1, made_at=now, **fresh))
        return int(on.execute(sa.select(r.slot).where(r.person == person)).scalar_one())

    def _end(self, on: sa.Connection, slot: int, devices: list[str], now: Moment) -> None:
        """These devices are no longer the resident's, and no token that is out is good."""
        on.execute(sa.update(db.devices).where(db.devices.c.device.in_(devices)).values(closed_at=now))
        turn = on.execute(
            sa.select(db.residents.c.token_turn).where(db.residents.c.slot == slot)
        ).scalar_one()
        on.execute(sa.update(db.residents).where(db.residents.c.slot == slot).values(token_turn=_after(turn)))

    # residents -----------------------------------------------------------------------------------------------------

    def resident(self, slot: int) -> Resident:
        """Who has this slot. Raises NoResident."""
        return self._one(db.residents.c.slot == slot)

    def named(self, resident: str) -> tuple[Resident | None, list[Device]]:
        """Whom their devices call so, and these devices; (None, []) for a name that is nobody's."""
        try:
            found = self._one(db.residents.c.resident == resident)
        except NoResident:
            found = None
        return found, self.devices(-1 if found is None else found.slot)

    def _one(self, where: sa.ColumnElement[bool]) -> Resident:
        with self._read() as on:
            row = on.execute(sa.select(db.residents).where(where, db.residents.c.closed_at.is_(None))).first()
        if row is None:
            raise NoResident
        return _resident(row)

    def slot_of(self, person: int) -> int | None:
        """Where the answer of this person is prepared; None for who is not bound and in nobody's care."""
        c = db.residents.c
        with self._read() as on:
            return on.execute(sa.select(c.slot).where(c.person == person, c.closed_at.is_(None))).scalar()

    def residents(self, *, after: int = 0) -> list[Resident]:
        """Whoever came or left since change `after`, in the order of changes."""
        c = db.residents.c
        with self._read() as on:
            query = sa.select(db.residents).where(c.change > after).order_by(c.change)
            return [_resident(row) for row in on.execute(query)]

    def turns(self) -> list[tuple[int, int]]:
        """(slot, token turn) of everybody bound; 0 for who has left."""
        c = db.residents.c
        with self._read() as on:
            rows = on.execute(sa.select(c.slot, c.token_turn, c.closed_at)).all()
        return [(row.slot, 0 if row.closed_at is not None else row.token_turn) for row in rows]

    def turn_of(self, slot: int) -> int:
        """The token turn of one slot; 0 for who has left, and for a slot that is nobody's."""
        c = db.residents.c
        with self._read() as on:
            found = on.execute(sa.select(c.token_turn).where(c.slot == slot, c.closed_at.is_(None))).scalar()
        return int(found or 0)

    def signed(self, device: str, *, at: Moment, now: Moment) -> bool:
        """Notes that a device signed for the moment `at`; False when it signed for one as late before."""
        c = db.devices.c
        with self._write() as on:
            done = on.execute(
                sa.update(db.devices)
                .where(c.device == device, c.signed_at < at, c.closed_at.is_(None))
                .values(signed_at=at, seen_at=now)
            )
        return done.rowcount == 1

    def devices(self, slot: int) -> list[Device]:
        """Live devices, the newest first."""
        c = db.devices.c
        query = sa.select(db.devices).where(c.slot == slot, c.closed_at.is_(None))
        with self._read() as on:
            rows = on.execute(query.order_by(c.made_at.desc(), c.device)).all()
        return [Device(x.device, bytes(x.public), x.made_at, x.seen_at, x.signed_at) for x in rows]

    def end_device(self, slot: int, device: str, *, again_until: Day, now: Moment) -> Resident:
        """The device is gone and no token that is out is good. Raises NoResident when it is none of theirs."""
        c = db.devices.c
        with self._write() as on:
            mine = sa.select(c.device).where(c.slot == slot, c.device == device, c.closed_at.is_(None))
            if on.execute(mine).first() is None:
                raise NoResident
            self._end(on, slot, [device], now)
            on.execute(
                sa.update(db.residents).where(db.residents.c.slot == slot).values(again_until=again_until)
            )
        return self.resident(slot)

    def leave(self, slot: int, *, again_until: Day, now: Moment) -> None:
        """The resident is bound no more: devices, tokens, others end. Looks stay theirs if they come back."""
        d = db.devices.c
        with self._write() as on:
            there = list(
                on.execute(sa.select(d.device).where(d.slot == slot, d.closed_at.is_(None))).scalars()
            )
            self._end(on, slot, there, now)
            cared = [other.person for other in self._others(on, slot)]
            on.execute(sa.delete(db.others).where(db.others.c.slot == slot))
            self._let_go(on, cared, now)
            on.execute(sa.update(db.rides).where(db.rides.c.slot == slot).values(withdrawn_at=now))
            on.execute(
                sa.update(db.residents)
                .where(db.residents.c.slot == slot)
                .values(closed_at=now, again_until=again_until, change=_next(on))
            )

    # others --------------------------------------------------------------------------------------------------------

    def others(self, slot: int) -> list[Other]:
        with self._read() as on:
            return self._others(on, slot)

    def _others(self, on: sa.Connection, slot: int) -> list[Other]:
        rows = on.execute(sa.select(db.others).where(db.others.c.slot == slot).order_by(db.others.c.other))
        return [Other(x.other, x.person, x.how, x.made_at) for x in rows]

    def add_other(self, slot: int, person: int, how: str, *, now: Moment) -> Other:
        """One more, at the first free place; the same person again is the same place. Refused (too_many_rows) when four
        are there."""
        with self._write() as on:
            return self._add_other(on, slot, person, how, now)

    def confirm_other(self, slot: int, binding: str, code: str, *, now: Moment) -> Other:
        """The same for a person who gave the code that was sent to them. Raises NotTheCode."""
        with self._write() as on:
            person = self._confirmed(on, binding, code, slot=slot, now=now)
            if person is not None:
                return self._add_other(on, slot, person, "consent", now)
        raise NotTheCode

    def _add_other(self, on: sa.Connection, slot: int, person: int, how: str, now: Moment) -> Other:
        there = self._others(on, slot)
        for other in there:
            if other.person == person:
                return other
        free = sorted(set(range(1, MOST_OTHERS + 1)) - {o.other for o in there})
        if not free:
            raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_OTHERS} others")
        on.execute(sa.insert(db.others).values(slot=slot, other=free[0], person=person, how=how, made_at=now))
        return Other(free[0], person, how, now)

    def _let_go(self, on: sa.Connection, persons: list[int], now: Moment) -> None:
        """No answer is prepared any more for those of them who have no device and are in nobody's care."""
        r, d, o = db.residents.c, db.devices.c, db.others.c
        held = sa.exists().where(d.slot == r.slot, d.closed_at.is_(None))
        cared = sa.exists().where(o.person == r.person)
        for person in persons:
            gone = sa.update(db.residents).where(r.person == person, r.closed_at.is_(None), ~held, ~cared)
            on.execute(gone.values(closed_at=now, change=_next(on)))

    def drop_other(self, slot: int, other: int, *, now: Moment) -> Other:
        """The resident no longer shows this one's code. Raises NoResident when there is none."""
        with self._write() as on:
            found = [o for o in self._others(on, slot) if o.other == other]
            if not found:
                raise NoResident
            on.execute(sa.delete(db.others).where(db.others.c.slot == slot, db.others.c.other == other))
            self._let_go(on, [found[0].person], now)
        return found[0]

    def guardianships(self, children: Collection[int] | None = None) -> list[Guardianship]:
        """Every child that a resident shows as its guardian, or those of them who are among these."""
        o, r = db.others.c, db.residents.c
        query = (
            sa.select(o.slot, o.other, o.person, r.person.label("guardian"))
            .join_from(db.others, db.residents)
            .where(o.how == "guardian")
        )
        if children is not None:
            among = sa.func.json_each(json.dumps(sorted(children))).table_valued("value")
            query = query.where(o.person.in_(sa.select(among.c.value)))
        with self._read() as on:
            return [Guardianship(*x) for x in on.execute(query)]

    def carers(self, persons: list[int]) -> list[Carer]:
        """Who may show the code of this person, known by any of these numbers."""
        c = db.others.c
        query = sa.select(db.others).where(c.person.in_(persons)).order_by(c.made_at.desc(), c.slot)
        with self._read() as on:
            return [Carer(self._carer(x.slot, x.person), x.how, x.made_at) for x in on.execute(query)]

    def end_carer(self, persons: list[int], carer: str, *, now: Moment) -> None:
        """One who was agreed to no longer may. Raises NoResident when there is none of this name, or it is a guardian."""
        c = db.others.c
        with self._write() as on:
            rows = on.execute(sa.select(db.others).where(c.person.in_(persons), c.how == "consent")).all()
            gone = [x for x in rows if self._carer(x.slot, x.person) == carer]
            if not gone:
                raise NoResident
            for x in gone:
                on.execute(sa.delete(db.others).where(c.slot == x.slot, c.other == x.other))
            self._let_go(on, [x.person for x in gone], now)

    def _carer(self, slot: int, person: int) -> str:
        """What a person calls a carer: it names nobody, and two persons who compare theirs learn nothing."""
        return hashlib.blake2s(f"carer {slot} {person}".encode(), key=self._decoys, digest_size=8).hexdigest()

    # looks ---------------------------------------------------------------------------------------------------------

    def looked(self, person: int, who: str, purpose: str, *, at: Moment) -> None:
        """Somebody looked at this person, and the person will see it. Before what was seen is handed out."""
        with self._write() as on:
            on.execute(sa.delete(db.looks).where(db.looks.c.at < at - LOOKS_KEPT))
            on.execute(sa.insert(db.looks).values(person=person, at=at, who=who, purpose=purpose))

    def looks(self, person: int) -> list[Look]:
        """Who looked, the newest first."""
        c = db.looks.c
        query = sa.select(db.looks).where(c.person == person).order_by(c.at.desc(), c.look.desc())
        with self._read() as on:
            return [Look(x.at, x.who, x.purpose) for x in on.execute(query)]


def token_key(folder: Path) -> bytes:
    """The key of the residents' tokens."""
    key = read_key(folder / TOKEN_KEY)
    assert len(key) == KEY_BYTES
    return key


def _after(turn: int) -> int:
    """The next token turn: 1 to 65,535, round again."""
    return turn % 0xFFFF + 1


def _next(on: sa.Connection) -> int:
    return int(on.execute(sa.select(sa.func.max(db.residents.c.change))).scalar() or 0) + 1


def _resident(row: sa.Row[Any]) -> Resident:
    bound = row.closed_at is None
    return Resident(row.slot, row.person, row.resident, row.token_turn, row.again_until, row.change, bound)
