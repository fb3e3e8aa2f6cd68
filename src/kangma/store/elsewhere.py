"""Status lists of a city that our trust list recognises, kept in our own public folder for our doors.

`public/elsewhere/<authority>/` has the shape of a public folder with nothing but lists: `latest.json`, `status/…`. Only
what verifies under our trust list comes in, never an older list over a newer one; a source that is away, lies or offers
less leaves what stands there. docs/formats/publication.md, decision 0169.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kangma.credential.marks import MarksInMemory
from kangma.credential.verify import FRESH, LEEWAY, Verifier
from kangma.errors import Code, Refused, Unavailable
from kangma.signing.trust import Authority
from kangma.status import delta
from kangma.status.token import MOST_CWT, Claims, open_cwt
from kangma.store.durable import WriterLock, fsync_folder, remove_folder, unavailable_when_the_disk_is
from kangma.store.public import write_public
from kangma.store.public_reader import OnDisk, PublicFolder, elsewhere, lists_signed
from kangma.store.signing import open_signing, read_root
from kangma.terms import Moment

MOST_OF_A_CITY = 2**29  # bytes of all its lists: 1,000 of the longest


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a run did. Paths are such as `status/19110/0`; `refused` says why, for people."""

    authority: str
    taken: tuple[str, ...]
    same: int  # lists that stand as they were
    refused: Mapping[str, str]
    removed: tuple[str, ...]  # over, named by nobody any more, or not believed any more
    signed: Moment | None  # the newest list that stands there now
    away: str | None  # why the source could not be read to its end; what had come before that is taken


def forget_unrecognised(path: Path) -> tuple[str, ...]:
    """Removes from the public folder of the directory `path` what lies there of cities that the trust list in force
    does not name; whose that was. Raises as `open_signing`."""
    named = {a.id for a in open_signing(path).trust.authorities[1:]}
    there = path / "public" / elsewhere("x")
    found = sorted(f for f in _folders(there.parent) if f.name not in named)
    with unavailable_when_the_disk_is():
        for folder in found:
            remove_folder(folder)
        if found:
            fsync_folder(there.parent)
    return tuple(f.name for f in found)


def recognised(path: Path, authority: str) -> Authority:
    """The city of this id in the trust list in force. Raises Refused (untrusted) when it recognises none; as
    `open_signing`."""
    trust = open_signing(path).trust
    city = next((a for a in trust.authorities[1:] if a.id == authority), None)
    if city is None:
        others = ", ".join(a.id for a in trust.authorities[1:]) or "no other"
        raise Refused(Code.UNTRUSTED, hint=f"the trust list does not recognise this city; it names {others}")
    return city


def age_of(public: Path, authority: str, *, now: Moment) -> int | None:
    """Seconds since the newest list of this city that stands in our public folder was signed; None without one. Raises
    OSError."""
    signed = lists_signed(OnDisk(public / elsewhere(authority)))
    return max(0, now - max(signed.values())) if signed else None


def mirror(path: Path, authority: str, source: PublicFolder, *, now: Moment) -> Mirrored:
    """The lists of this city that `source` (its public folder) has and that our trust list believes at `now`, in our
    public folder, durable on return: each list whole, then its delta; `latest.json` last.

    Raises Refused as `recognised`, and `unreadable` when the source is no public folder; Unavailable when it cannot be
    read at all, or another program mirrors this city now. What stands there is then as it was, but for lists that our
    trust list does not believe any more.
    """
    city = recognised(path, authority)
    with unavailable_when_the_disk_is():
        top = path / "public" / elsewhere(authority)
        top.parent.mkdir(exist_ok=True)
        with WriterLock(top.parent / f".{authority}.lock").hold(wait=10):
            verifier = Verifier(read_root(path), MarksInMemory())
            verifier.take_trust((path / "signer" / "trust").read_bytes())
            return _Mirror(verifier, city, top, now).run(source)


class _Mirror:
    """One run for one city, under its lock."""

    def __init__(self, verifier: Verifier, city: Authority, top: Path, now: Moment) -> None:
        self._verifier, self._city, self._top, self._now = verifier, city, top, now
        self._standing: dict[str, Claims] = {}
        self._bytes = 0
        self._removed: list[str] = []
        self._refused: dict[str, str] = {}

    def run(self, source: PublicFolder) -> Mirrored:
        self._look_at_what_stands()
        try:
            offered = lists_signed(_Readable(source))
        except ValueError as problem:
            raise Refused(Code.UNREADABLE, hint=str(problem)) from None
        if offered is None:
            raise Refused(
                Code.UNREADABLE, hint="no public folder there: latest.json is missing or says nothing usable"
            )
        self._let_go(offered)
        taken: list[str] = []
        away = None
        for at, path in sorted((at, path) for path, at in offered.items()):
            try:
                if self._take(_Readable(source), path, at):
                    taken.append(path)
            except Refused as problem:
                self._refused[path] = str(problem)
            except Unavailable as problem:
                away = str(problem)
                break
        self._point()
        signed = max((c.iat for c in self._standing.values()), default=None)
        same = len(self._standing) - len(taken)
        return Mirrored(self._city.id, tuple(taken), same, self._refused, tuple(self._removed), signed, away)

    def _look_at_what_stands(self) -> None:
        """Each list there is verified again by the trust list of now; what it does not believe goes, whatever the
        source says."""
        here = OnDisk(self._top)
        for file in sorted((self._top / "status").glob("*/*")):
            path = str(file.relative_to(self._top))
            if file.suffix == ".delta" or file.name[0] == ".":
                continue
            try:
                content = here.read(path, MOST_CWT) or b""
                self._verifier.take_list(f"{self._city.base}/{path}", content)
            except (Refused, ValueError):
                self._remove(path)
                continue
            self._standing[path] = open_cwt(content).claims
            self._bytes += len(content)
        if self._removed:
            self._point()

    def _let_go(self, offered: Mapping[str, Moment]) -> None:
        """What is over; and what the city names no more, once its state would be called stale anyway: a pointer that
        lies takes nothing from a door that a city which is dark would not."""
        for path, claims in list(self._standing.items()):
            if self._now >= claims.exp or (path not in offered and self._now >= claims.iat + FRESH):
                del self._standing[path]
                self._remove(path)

    def _take(self, source: PublicFolder, path: str, at: Moment) -> bool:
        """Whether a newer list was there, and is here now. Raises Refused, Unavailable."""
        held = self._standing.get(path)
        if held is not None and at <= held.iat:
            if at < held.iat:
                raise Refused(Code.ROLLED_BACK, hint="older than the one that stands here")
            return False
        content = self._read(source, path, MOST_CWT)
        if content is None:
            raise Refused(Code.UNREADABLE, hint="named, and not there")
        claims = open_cwt(content).claims
        if held is not None and claims.iat <= held.iat:
            raise Refused(Code.ROLLED_BACK, hint="not newer than the one that stands here")
        if claims.iat > self._now + LEEWAY:
            # Doors would take that for the time of this city's codes, and end them.
            raise Refused(Code.BAD_TIME, hint="signed later than our clock says")
        if self._now >= claims.exp:
            raise Refused(Code.BAD_TIME, hint="it is over")
        if self._bytes + len(content) > MOST_OF_A_CITY:
            raise Refused(Code.TOO_MANY_BYTES, hint="a city's lists are not as large")
        uri = f"{self._city.base}/{path}"
        change = None if held is None else self._delta(source, path, uri, claims.iat)
        self._verifier.take_list(uri, content)
        files = {path: content} | ({} if change is None else {f"{path}.delta": change})
        write_public(self._top, files)
        self._bytes += len(content)
        self._standing[path] = claims
        return True

    def _delta(self, source: PublicFolder, path: str, uri: str, to: Moment) -> bytes | None:
        """The city's own delta, when it leads from the list that stands here to the one that comes; else doors fetch
        the list."""
        try:
            content = self._read(source, f"{path}.delta", delta.MOST_CWT)
            if content is None or delta.open_delta(content).claims.iat != to:
                return None
            self._verifier.take_delta(uri, content)
        except Refused:
            return None
        return content

    def _read(self, source: PublicFolder, path: str, most: int) -> bytes | None:
        try:
            return source.read(path, most)
        except ValueError as problem:
            raise Refused(Code.TOO_MANY_BYTES, hint=str(problem)) from None

    def _remove(self, path: str) -> None:
        file = self._top / path
        for gone in (file, file.with_name(f"{file.name}.delta")):
            if gone.is_dir():
                remove_folder(gone)
            gone.unlink(missing_ok=True)
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
        self._removed.append(path)

    def _point(self) -> None:
        """`latest.json` says what stands there; with nothing there, the folder goes."""
        if not self._standing:
            if self._top.is_dir():
                remove_folder(self._top)
            return
        families: dict[str, int] = {}
        for path in self._standing:
            _, family, n = path.split("/")
            families[family] = max(families.get(family, 0), int(n) + 1)
        lists = {path: self._standing[path].iat for path in sorted(self._standing)}
        said = {
            "authority": self._city.id,
            "at": max(lists.values()),
            "families": {family: {"lists": n} for family, n in sorted(families.items())},
            "lists": lists,
        }
        content = json.dumps(said, indent=1).encode()
        if OnDisk(self._top).read("latest.json", 2**30) != content:
            write_public(self._top, {"latest.json": content})


class _Readable:
    """A source whose every failure to answer is one that may pass."""

    def __init__(self, source: PublicFolder) -> None:
        self._source = source

    def read(self, path: str, most: int) -> bytes | None:
        try:
            return self._source.read(path, most)
        except OSError as problem:
            raise Unavailable(f"the source cannot be read: {problem.strerror}") from None


def _folders(folder: Path) -> list[Path]:
    return [f for f in folder.iterdir() if f.is_dir() and not f.is_symlink()] if folder.is_dir() else []
