"""How much one caller may ask: a rate for each role and purpose, kept for each token, client or network.

GCRA (ITU-T I.371, the virtual scheduling form): one number a key, the moment at which the caller would have used up what
it may. Nobody's memory grows with what a stranger sends: keys that were quiet for a while are forgotten together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from kangma.gateway.front.rights import Purpose, Role

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
    (Role.RESIDENT, Purpose.HISTORY): Rate(0.2, 20),
    (Role.RESIDENT, Purpose.BIND): Rate(0.2, 40),
    (Role.RESIDENT, Purpose.ENTER): Rate(0.2, 40),
    (Role.RESIDENT, Purpose.APPEAL): Rate(0.05, 10),
    (Role.VENUE, Purpose.VERIFY): Rate(1, 30),
    (Role.SOURCE, Purpose.REPORT): Rate(20, 200),
    (Role.PARTNER, Purpose.CHECK): Rate(500, 5_000),
}
ELSE = Rate(5, 60)


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


class Network:
    """Where a request comes from: its /24 or /48. Behind proxies of ours the last of X-Forwarded-For counts, which they
    wrote; from anybody else that header is a stranger's word."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._proxies = frozenset(proxies)

    def of(self, scope: MutableMapping[str, Any]) -> str:
        client = scope.get("client")
        address = client[0] if client else ""
        if address in self._proxies:
            told = [v for k, v in scope["headers"] if k == b"x-forwarded-for"]
            address = told[-1].rpartition(b",")[2].strip().decode("latin-1") if told else address
        return network(address)


def network(address: str) -> str:
    """`192.0.2.0/24` of `192.0.2.7`, a /48 of an IPv6 address (an IPv4 one inside it is that one); "" for none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bits = 24 if found.version == 4 else 48
    return str(ipaddress.ip_network((found, bits), strict=False))
