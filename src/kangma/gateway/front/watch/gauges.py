"""How the city behind the door is, in figures for those who run it. What to do about each stands in docs/operate.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from math import inf, nan

from kangma.errors import KangmaError
from kangma.gateway.front.city import City
from kangma.gateway.front.people import sealed
from kangma.gateway.front.watch.sensors import Sensors
from kangma.signing.trust import TrustList, Use, open_trust
from kangma.store.alarms import What, counted
from kangma.store.elsewhere import age_of
from kangma.store.releases import last_release
from kangma.store.signing import is_stopped, read_root


def watch_city(sensors: Sensors, city: City) -> None:
    """Each figure is looked up when it is read; one that cannot be had is not a number, and the others are told."""
    path = city.state.path

    def behind() -> float:
        last, answered = last_release(city.state.registry), city.slots.ready()
        return nan if last is None or answered is None else float(max(0, last.number - answered))

    def age() -> float:
        last = last_release(city.state.registry)
        return nan if last is None else float(max(0, city.now - last.now))

    def trust() -> TrustList:
        return trust_of(city)

    def ends(use: Use) -> Callable[[], float]:
        def left() -> float:
            keys = [
                key for a in trust().authorities for key in a.keys if key.use is use and not key.revoked_at
            ]
            return float(max((key.not_after for key in keys), default=city.now) - city.now)

        return left

    def slots(which: str) -> Callable[[], float]:
        def said() -> float:
            found = sealed.ages(city)
            age = None if found is None else getattr(found, which)
            return nan if age is None else float(age)

        return said

    def raised(what: What) -> Callable[[], float]:
        return lambda: float(counted(city.state.registry)[what])

    def mirrored() -> Mapping[str, float]:
        return {name: inf if age is None else float(age) for name, age in ages_elsewhere(city).items()}

    def free() -> float:
        disk = os.statvfs(path)
        return float(disk.f_bavail * disk.f_frsize)

    sensors.watch("release", "Release as at which codes are shown", lambda: city.slots.ready() or 0)
    sensors.watch("answers_behind", "Releases that prepared answers are behind", _told(behind))
    sensors.watch("release_age_seconds", "Age of the last release", _told(age))
    sensors.watch("stopped", "1 while the kill switch is on", _told(lambda: float(is_stopped(path))))
    sensors.watch(
        "trust_ends_seconds", "Until the trust list expires", _told(lambda: float(trust().expires - city.now))
    )
    sensors.watch(
        "appeals_late", "Appeals beyond their deadline", _told(lambda: float(city.appeals.late(now=city.now)))
    )
    for which, what in _SEALED.items():
        sensors.watch(f"sealed_{which}_seconds", what, _told(slots(which)))
    sensors.watch_those(
        "elsewhere_age_seconds", "Age of the newest list of another city that stands here", "city", mirrored
    )
    sensors.watch("free_bytes", "Free on the disk of the state", _told(free))
    sensors.watch_each(
        "keys_end_seconds", "Until the last announced key ends", "use", {u: _told(ends(u)) for u in _SIGNING}
    )
    sensors.watch_each("alarms", "Alarms ever raised", "what", {w: _told(raised(w)) for w in What})


def trust_of(city: City) -> TrustList:
    """The trust list that is public now. Raises OSError, Refused."""
    return open_trust((city.public / "trust").read_bytes()).verify(read_root(city.state.path))


def ages_elsewhere(city: City) -> Mapping[str, int | None]:
    """Of each other city in the trust list, how old its newest list in our public folder is; None where there is none,
    so that no door verifies its codes. Nothing where that cannot be told."""
    try:
        return {a.id: age_of(city.public, a.id, now=city.now) for a in trust_of(city).authorities[1:]}
    except (OSError, KangmaError):
        return {}


_SEALED = {
    "oldest": "Age of the oldest part of today's sealed slots",
    "newest": "Age of the newest part of today's sealed slots",
    "ttl": "After which a part of sealed slots is to be written anew",
}
_SIGNING = (Use.CREDENTIAL, Use.STATUS, Use.LOG)


def _told(figure: Callable[[], float]) -> Callable[[], float]:
    def told() -> float:
        try:
            return figure()
        except (OSError, KangmaError):
            return nan

    return told
