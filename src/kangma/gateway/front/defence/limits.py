"""How much one caller may ask: a rate for each role and purpose, kept for each token, client or network.

GCRA (ITU-T I.371, the virtual scheduling form): one number a key, the moment at which the caller would have used up what
it may. Nobody's memory grows with what a stranger sends: keys that were quiet for a while are forgotten together.

Several workers of one gateway count together, in memory that they share (docs/decisions/0137).
"""

from __future__ import annotations

import ipaddress
import mmap
import os
import struct
from collections.abc import Hashable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Protocol

from kangma.gateway.front.who.rights import Purpose, Role

MOST_KEYS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second for ever, and `burst` at once after a rest."""

    a_second: float
    burst: int


#: For whom and what: residents by slot, clients by name, everybody else by network. A network may be a carrier's whole
#: address translation, so these are for floods and not for politeness.
RATES: Mapping[tuple[Role, Purpose], Rate] = {
    (Role.NOBODY, Purpose.VERIFY): Rate(200, 4_000),
    (Role.NOBODY, Purpose.BIND): Rate(2, 120),
    (Role.NOBODY, Purpose.ABOUT): Rate(5, 60),
    (Role.RESIDENT, Purpose.SHOW): Rate(2, 40),
    (Role.RESIDENT, Purpose.MAKE): Rate(0.1, 15),  # a phone is filled for five people once a day
    (Role.RESIDENT, Purpose.HISTORY): Rate(0.2, 20),
    (Role.RESIDENT, Purpose.BIND): Rate(0.2, 40),
    (Role.RESIDENT, Purpose.ENTER): Rate(0.2, 40),
    (Role.RESIDENT, Purpose.APPEAL): Rate(0.05, 10),
    (Role.VENUE, Purpose.VERIFY): Rate(1, 30),
    (Role.SOURCE, Purpose.REPORT): Rate(20, 200),
    (Role.PARTNER, Purpose.CHECK): Rate(500, 5_000),
}
ELSE = Rate(5, 60)
#: The same while the door is under attack: enough for everybody who does what people do.
STRICT: Mapping[tuple[Role, Purpose], Rate] = {
    **RATES,
    (Role.NOBODY, Purpose.VERIFY): Rate(20, 100),
    (Role.NOBODY, Purpose.BIND): Rate(1, 20),
    (Role.NOBODY, Purpose.ABOUT): Rate(0.5, 5),
    (Role.RESIDENT, Purpose.SHOW): Rate(1, 10),
    (Role.RESIDENT, Purpose.MAKE): Rate(0.02, 3),
    (Role.RESIDENT, Purpose.HISTORY): Rate(0.02, 3),
    (Role.RESIDENT, Purpose.APPEAL): Rate(0.02, 3),
    (Role.RESIDENT, Purpose.BIND): Rate(0.05, 5),
}


class Limiter:
    """One rate, any number of keys. `after` tells how long a key must wait; 0.0 counts it as admitted."""

    def __init__(self, rate: Rate, *, most: int = MOST_KEYS) -> None:
        self._step, self._room = 1.0 / rate.a_second, rate.burst / rate.a_second
        self._most = most
        self._due: dict[Hashable, float] = {}
        self._before: dict[Hashable, float] = {}
        self._turned = 0.0

    def after(self, key: Hashable, now: float) -> float:
        """Seconds until the key may ask again; 0.0: it may now, and has. `now` in seconds, never falling."""
        if now - self._turned > self._room + 1 or len(self._due) >= self._most:
            # Whoever was not heard of for as long as a burst takes to fill has all of it again: forgetting is exact.
            # With too many keys it comes early and forgives the quiet ones, which keeps the memory bounded.
            self._before, self._due, self._turned = self._due, {}, now
        due = self._due.get(key)
        if due is None:
            due = self._before.get(key, now)
        due = max(due, now) + self._step
        if due - now > self._room:
            return due - now - self._room
        self._due[key] = due
        return 0.0


_TWO = struct.Struct("<QQ")


class Counted(Protocol):
    """What counts one caller's requests of one role and purpose."""

    def after(self, key: Hashable, now: float) -> float: ...


class Together:
    """The counts of several processes: a table in memory that they all have mapped, and that is gone when they are.

    Keyed by a hash whose key dies with the table: whoever wants to be counted with somebody else cannot aim. Eight places
    of 16 bytes (tag, due) a bucket. A bucket in which nine callers are at it at once forgets the one who has used least:
    it is forgiven, and nobody else is charged for it. Nothing is locked: of two processes that count the same caller at
    the same instant one may undo the other's count (measured in docs/decisions/0137). `now`: one clock of the machine's.
    """

    PLACES = 8
    _HEAD = 64

    def __init__(self, fd: int) -> None:
        """Maps what `make` made; the descriptor stays the caller's."""
        self._mapped = mmap.mmap(fd, 0)
        self._keyed = blake2s(key=self._mapped[:32], digest_size=16)
        self._buckets = (len(self._mapped) - self._HEAD) // (16 * self.PLACES)
        content = memoryview(self._mapped)[self._HEAD :]
        self._tags, self._dues = content.cast("Q"), content.cast("d")

    @classmethod
    def make(cls, keys: int = MOST_KEYS) -> int:
        """The descriptor of a new table for so many keys; pages that nobody uses take no room."""
        fd = os.memfd_create("kangma-limits", os.MFD_CLOEXEC)
        os.ftruncate(fd, cls._HEAD + -(-keys // cls.PLACES) * cls.PLACES * 16)
        os.pwrite(fd, os.urandom(32), 0)
        return fd

    def after(self, name: bytes, key: Hashable, step: float, room: float, now: float) -> float:
        """As `Limiter.after`, for the limiter called `name`."""
        keyed = self._keyed.copy()
        keyed.update(name + str(key).encode())
        tag, first = _TWO.unpack(keyed.digest())
        tag, first = tag or 1, first % self._buckets * self.PLACES * 2
        tags, dues = self._tags, self._dues
        place, due = -1, now
        for at in range(first, first + self.PLACES * 2, 2):
            if tags[at] == tag:
                place, due = at, max(dues[at + 1], now)
                break
        if due + step - now > room:
            return due + step - now - room
        if place < 0:
            place = min(range(first, first + self.PLACES * 2, 2), key=lambda at: dues[at + 1])
            dues[place + 1] = due + step  # first: nobody is counted with what another had used
            tags[place] = tag
        else:  # read again: whoever is held up between here and there would take back what others counted meanwhile
            dues[place + 1] = max(dues[place + 1], now) + step
        return 0.0


class OfTogether:
    """A limiter of one role and purpose that keeps its counts in the shared table."""

    def __init__(self, rate: Rate, name: str, table: Together) -> None:
        self._step, self._room = 1.0 / rate.a_second, rate.burst / rate.a_second
        self._name, self._table = f"{name} ".encode(), table

    def after(self, key: Hashable, now: float) -> float:
        return self._table.after(self._name, key, self._step, self._room, now)


class Network:
    """Where a request comes from: its /24 or /48. What a proxy of ours says counts, and nobody else's word.

    X-Forwarded-For is read from its end, where the nearest proxy wrote, past proxies of ours, to the first address that
    is none. A stranger may have begun the header; what they wrote stands before that and is not looked at. A word that is
    no address ends the search: such requests are one network together.
    """

    _MOST_KNOWN = 10_000

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """`proxies`: addresses or networks (`10.1.0.0/16`). ValueError for anything else."""
        self._proxies = [ipaddress.ip_network(p, strict=False) for p in proxies]
        self._known: dict[str, tuple[bool, str]] = {}  # of addresses seen: is it a proxy of ours, its network

    def of(self, scope: MutableMapping[str, Any]) -> str:
        client = scope.get("client")
        ours, found = self._look(client[0] if client else "")
        if not ours:
            return found
        told = b",".join(v for k, v in scope["headers"] if k == b"x-forwarded-for").decode("latin-1")
        while ours and told:
            told, _, last = told.rpartition(",")
            ours, found = self._look(last.strip())
        return found

    def _look(self, address: str) -> tuple[bool, str]:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= self._MOST_KNOWN:
                self._known.clear()
            known = self._known[address] = (self._ours(address), network(address))
        return known

    def _ours(self, address: str) -> bool:
        try:
            found = _plain(address)
        except ValueError:
            return False
        return any(found in of for of in self._proxies if of.version == found.version)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; of an IPv4 one inside an IPv6 one, the IPv4 one. ValueError for none."""
    found = ipaddress.ip_address(address)
    inside = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if inside is None else inside


def network(address: str) -> str:
    """`192.0.2.0/24` of `192.0.2.7`, a /48 of an IPv6 address (an IPv4 one inside it is that one); "" for none."""
    try:
        found = _plain(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))
