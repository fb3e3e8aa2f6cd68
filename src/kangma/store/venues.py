"""Venues that are registered: their numbers and keys, and how many people came. Nothing here is about a person.

`front/venues.sqlite` in a state directory, beside `front/venues.key`, of which each venue's key is derived: whoever has
that one can draw every door's code. Every call that returned is durable.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kangma.credential.venue_code import (
    KEY_BYTES,
    STEP,
    code_at,
    minute_of,
    new_number,
    same,
    token_at,
    token_of,
)
from kangma.errors import Code, Conflict, Refused, Where
from kangma.store.keys import make_key, read_key
from kangma.store.sqlite_file import SqliteFile, settings_of
from kangma.terms import DAY, HOUR, Day, Moment

FILE, MASTER_KEY = "venues.sqlite", "venues.key"
FORMAT = "1"

ASSUMED_MINUTES = (
    60  # how long a visit is taken to be that nobody ended, unless the venue is registered with another
)
LONGEST_MINUTES = 24 * 60  # of a visit, assumed or ended
AHEAD = 1  # minutes that a door's clock may be before ours
KEPT = (
    96 * HOUR
)  # how long after its minute a code may be handed in: three days of darkness and one to come back
COUNTED_DAYS = 28  # that counts are kept
RECENT = 300  # seconds for which a door sees each result for itself
RESULTS = ("pass", "wait", "unknown")

_metadata = sa.MetaData()

#: format; change: grows with every change of a venue.
_settings = settings_of(_metadata)

#: A door. `place` is the place of the evidence at which its visits are.
_venues = sa.Table(
    "venues",
    _metadata,
    sa.Column("venue", sa.String(8), primary_key=True),
    sa.Column("place", sa.String(128), nullable=False),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("assumed_minutes", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),  # of the key in force
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)

#: When a key of a venue was in force: a code of a minute is checked with the key of that minute.
_keys = sa.Table(
    "keys",
    _metadata,
    sa.Column("venue", sa.String(8), sa.ForeignKey("venues.venue"), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger),
)

#: How many came, by local day: `what` is pass, wait, unknown, left or late.
_counts = sa.Table(
    "counts",
    _metadata,
    sa.Column("venue", sa.String(8), primary_key=True),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("what", sa.String(8), primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

#: What a door sees of the last minutes: a result and a second, nothing else. Gone after `RECENT`.
_recent = sa.Table(
    "recent",
    _metadata,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("venue", sa.String(8), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("result", sa.String(8), nullable=False),
)
sa.Index("recent_venue", _recent.c.venue, _recent.c.at)


@dataclass(frozen=True, slots=True)
class Venue:
    venue: str  # eight digits
    place: str
    name: str
    assumed_minutes: int
    generation: int
    made_at: Moment
    closed_at: Moment | None
    keys: tuple[tuple[int, Moment, Moment | None], ...]  # (generation, since, until), the newest first


def unknown_venue() -> Refused:
    """The same for a number of nobody's, and for one that is closed."""
    return Refused(Code.UNKNOWN_VENUE, Where(path="venue"), "no door of this city has this number now")


class Venues(SqliteFile):
    """Over `front/venues.sqlite`. Threads may share one."""

    def __init__(self, folder: Path, *, ticks: Callable[[], float] = time.monotonic) -> None:
        """Opens or makes the file in `front/`. Corrupt for a format that this program cannot read."""
        if not (folder / MASTER_KEY).exists():
            with contextlib.suppress(Conflict):  # two who want it at once get the same
                make_key(folder / MASTER_KEY)
        self._master = read_key(folder / MASTER_KEY)
        super().__init__(folder / FILE, _settings, {"format": FORMAT, "change": "0"})
        self._key = lru_cache(65_536)(self._derived)
        self._code = lru_cache(65_536)(code_at)
        self._known: dict[str, Venue] = {}
        self._change, self._ticks, self._due = 0, ticks, 0.0

    # registration --------------------------------------------------------------------------------------------------

    def register(
        self, place: str, name: str, *, now: Moment, assumed_minutes: int = ASSUMED_MINUTES
    ) -> tuple[Venue, bytes]:
        """A new door at a place, and the key for its device. Refused (bad_value) for a name that is none, or a length
        beyond a day."""
        if not (name.strip() == name and 1 <= len(name) <= 120 and name.isprintable()):
            raise Refused(Code.BAD_VALUE, Where(column="name"), "1 to 120 printable characters")
        if not 1 <= assumed_minutes <= LONGEST_MINUTES:
            raise Refused(Code.BAD_VALUE, Where(column="stay"), f"1 to {LONGEST_MINUTES} minutes")
        with self.write() as on:
            number = new_number()
            while on.execute(sa.select(_venues.c.venue).where(_venues.c.venue == number)).first() is not None:
                number = new_number()
            on.execute(
                sa.insert(_venues).values(
                    venue=number, place=place, name=name, assumed_minutes=assumed_minutes, generation=1,
                    change=_next(on), made_at=now,
                )
            )  # fmt: skip
            on.execute(sa.insert(_keys).values(venue=number, generation=1, since=now))
        return self.venue(number), self._key(number, 1)

    def renew_key(self, venue: str, *, now: Moment, stolen: bool = False) -> bytes:
        """A new key: the old one draws no code from now on, and still checks those that it drew. `stolen`: none of them
        is taken any more, for whoever has the key can draw the codes of past minutes too."""
        with self.write() as on:
            c = _venues.c
            row = on.execute(sa.select(c.generation).where(c.venue == venue, c.closed_at.is_(None))).first()
            if row is None:
                raise unknown_venue()
            after = row.generation + 1
            if stolen:
                on.execute(sa.update(_keys).where(_keys.c.venue == venue).values(until=_keys.c.since))
            else:
                on.execute(
                    sa.update(_keys).where(_keys.c.venue == venue, _keys.c.until.is_(None)).values(until=now)
                )
            on.execute(sa.insert(_keys).values(venue=venue, generation=after, since=now))
            on.execute(sa.update(_venues).where(c.venue == venue).values(generation=after, change=_next(on)))
        return self._key(venue, after)

    def end(self, venue: str, *, now: Moment) -> None:
        """The door takes nobody in any more; what it drew before is still taken late."""
        with self.write() as on:
            c = _venues.c
            done = on.execute(
                sa.update(_venues)
                .where(c.venue == venue, c.closed_at.is_(None))
                .values(closed_at=now, change=_next(on))
            )
            if done.rowcount == 0:
                raise unknown_venue()
            on.execute(
                sa.update(_keys).where(_keys.c.venue == venue, _keys.c.until.is_(None)).values(until=now)
            )

    def all(self) -> list[Venue]:
        """Every door that ever was, in the order of registration."""
        return self._select(sa.true(), order=_venues.c.made_at)

    def venue(self, number: str) -> Venue:
        """One door. Refused (unknown_venue) for a number of nobody's."""
        found = self._select(_venues.c.venue == number)
        if not found:
            raise unknown_venue()
        return found[0]

    def _select(self, where: Any, order: Any = _venues.c.change) -> list[Venue]:
        with self.read() as on:
            rows = on.execute(sa.select(_venues).where(where).order_by(order, _venues.c.venue)).all()
            keys: dict[str, list[tuple[int, Moment, Moment | None]]] = {}
            query = sa.select(_keys).join(_venues, _keys.c.venue == _venues.c.venue).where(where)
            for k in on.execute(query.order_by(_keys.c.generation.desc())):
                keys.setdefault(k.venue, []).append((k.generation, k.since, k.until))
        return [
            Venue(
                x.venue,
                x.place,
                x.name,
                x.assumed_minutes,
                x.generation,
                x.made_at,
                x.closed_at,
                tuple(keys[x.venue]),
            )
            for x in rows
        ]

    def _derived(self, venue: str, generation: int) -> bytes:
        info = f"kangma venue {venue} {generation}".encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._master)

    def name_of_visit(self, who: int | str, venue: str, minute: int) -> str:
        """What a scan-in is called wherever it is told of: the same for the same person (`who`: their slot, or the text
        that `ScanIn` has for who has none), door and minute, and nothing to anybody else."""
        key = self._key("visit", 0)
        return hashlib.blake2s(f"{who} {venue} {minute}".encode(), key=key, digest_size=8).hexdigest()

    # codes, from memory ----------------------------------------------------------------------------------------------

    def known(self, number: str) -> Venue | None:
        """The door, as it was at most two seconds ago. No statement for one that is known, but each two seconds."""
        if self._ticks() >= self._due:
            self._due = self._ticks() + 2.0
            with self.read() as on:
                said = on.execute(sa.select(_settings.c.value).where(_settings.c.name == "change")).scalar()
            if int(said or 0) != self._change:
                for venue in self._select(_venues.c.change > self._change):
                    self._known[venue.venue] = venue
                self._change = int(said or 0)
        return self._known.get(number)

    def checked(self, number: str, minute: int, code: str, *, now: Moment) -> tuple[Venue, int]:
        """The door and the minute whose code this is: the minute that was named, or a neighbour of it (RFC 6238, 5.2: who
        types reads a code that may change meanwhile).

        Refused: unknown_venue; code_ahead, of a minute that has not come; code_too_old, `KEPT` after its minute;
        wrong_code.
        """
        venue = self.known(number)
        if venue is None:
            raise unknown_venue()
        if minute > minute_of(now) + AHEAD:
            raise Refused(Code.CODE_AHEAD, Where(path="minute"), "this minute has not come: a clock is wrong")
        if (minute + 1) * STEP <= now - KEPT:
            raise Refused(
                Code.CODE_TOO_OLD, Where(path="minute"), f"a code is taken for {KEPT // HOUR} hours"
            )
        for near in (minute, minute - 1, minute + 1):
            key = self._key_in_force(venue, near)
            if key is not None and same(self._code(key, near), code) and near <= minute_of(now) + AHEAD:
                return venue, near
        if venue.closed_at is not None and minute * STEP >= venue.closed_at:
            raise unknown_venue()
        raise Refused(Code.WRONG_CODE, Where(path="code"), "not this door's code of that minute")

    def _key_in_force(self, venue: Venue, minute: int) -> bytes | None:
        begins, ends = minute * STEP, (minute + 1) * STEP
        for generation, since, until in venue.keys:
            if since < ends and (until is None or begins < until) and since != until:
                return self._key(venue.venue, generation)
        return None

    def code(self, number: str, minute: int) -> str:
        """The code of a minute, as the door's device draws it with the key in force. For the operator and for tests."""
        venue = self.venue(number)
        return code_at(self._key(number, venue.generation), minute)

    def caller(self, token: str, *, now: Moment) -> str | None:
        """The venue whose device sent this token; None for any other text."""
        claimed = token_of(token)
        if claimed is None:
            return None
        number, minute = claimed
        venue = self.known(number)
        if venue is None or venue.closed_at is not None or abs(minute - minute_of(now)) > 2:
            return None
        right = token_at(number, self._key(number, venue.generation), minute)
        return number if same(right, token) else None

    # counters ----------------------------------------------------------------------------------------------------------

    def count(
        self,
        counts: Mapping[tuple[str, Day, str], int],
        recent: list[tuple[str, Moment, str]],
        *,
        now: Moment,
    ) -> None:
        """Adds to the counts, by (venue, day, what), and to what doors see of the last minutes."""
        c, r = _counts.c, _recent.c
        with self.write() as on:
            for (venue, day, what), n in counts.items():
                same_row = sa.and_(c.venue == venue, c.day == day, c.what == what)
                if on.execute(sa.update(_counts).where(same_row).values(n=c.n + n)).rowcount == 0:
                    on.execute(sa.insert(_counts).values(venue=venue, day=day, what=what, n=n))
            on.execute(sa.delete(_counts).where(c.day < now // DAY - COUNTED_DAYS))
            on.execute(sa.delete(_recent).where(r.at < now - RECENT))
            if recent:
                on.execute(sa.insert(_recent), [{"venue": v, "at": at, "result": x} for v, at, x in recent])

    def counts(self, venue: str, day: Day) -> dict[str, int]:
        """What was counted at a door on a local day, by pass, wait, unknown, left, late."""
        with self.read() as on:
            rows = on.execute(sa.select(_counts).where(_counts.c.venue == venue, _counts.c.day == day)).all()
        return dict.fromkeys((*RESULTS, "left", "late"), 0) | {x.what: x.n for x in rows}

    def recent(self, venue: str, *, now: Moment, most: int = 20) -> list[tuple[Moment, str]]:
        """(second, result) of who came in the last minutes, the newest first."""
        c = _recent.c
        query = sa.select(c.at, c.result).where(c.venue == venue, c.at >= now - RECENT)
        with self.read() as on:
            return [
                (x.at, x.result) for x in on.execute(query.order_by(c.at.desc(), c.row.desc()).limit(most))
            ]


def _next(on: sa.Connection) -> int:
    c = _settings.c
    after = int(on.execute(sa.select(c.value).where(c.name == "change")).scalar() or 0) + 1
    on.execute(sa.update(_settings).where(c.name == "change").values(value=str(after)))
    return after
