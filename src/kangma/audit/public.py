"""What a stranger can check, with the public folder and nothing else: no evidence, no person, no trust in the city.

That the root stands behind the keys; that the log is one log and holds all that it ever held; that releases follow on
each other; that policies are public in full; and that every list that doors download is signed, is what the log says,
and is not older than one that was seen before. That the turns in the log are right, only an auditor with the evidence
can say (`kangma.audit.whole`); that there are no others, everybody can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kangma.audit.report import Check, Report
from kangma.errors import Code, Refused, Where
from kangma.signing.keys import PublicKey
from kangma.signing.trust import Root, TrustList, Use, decode_root, open_trust, successor
from kangma.status import delta, token
from kangma.status.lists import digest
from kangma.store.public_reader import PublicFolder, folder, is_address
from kangma.terms import Moment, zone
from kangma.translog import entries, tiles
from kangma.translog.checkpoint import Checkpoint, open_checkpoint
from kangma.translog.fsck import fsck
from kangma.translog.tree import EMPTY_ROOT

#: A credential on paper lives so long, and its list with it (docs/formats/credential.md).
PAPER_DAYS = 28
MOST_FILE = 32 << 20  # bytes of one file


@dataclass(frozen=True)
class Folder:
    """The public folder, wherever it lies; `disk` where it is a folder of this machine."""

    public: PublicFolder
    disk: Path | None

    @classmethod
    def at(cls, where: str) -> Folder:
        """The folder at a path or an http(s) address. Refused (unreadable) for a path that is no folder."""
        if is_address(where):
            return cls(folder(where), None)
        if not Path(where).is_dir():
            raise Refused(Code.UNREADABLE, Where(file=where), "not a folder")
        return cls(folder(where), Path(where))

    def read(self, path: str) -> bytes:
        """A file. FileNotFoundError when there is none, Refused (too_many_bytes) when it is none of ours."""
        try:
            content = self.public.read(path, MOST_FILE)
        except ValueError:
            raise Refused(Code.TOO_MANY_BYTES, Where(file=path)) from None
        if content is None:
            raise FileNotFoundError(path)
        return content

    def names(self, prefix: str) -> list[str]:
        """Paths of all files below; a folder behind an address cannot tell, and names none."""
        if self.disk is None:
            return []
        found = (self.disk / prefix).rglob("*")
        return sorted(str(f.relative_to(self.disk)) for f in found if f.is_file() and f.name[0] != ".")


@dataclass(frozen=True)
class Seen:
    """What this auditor saw the last time: what is there now must go on from it."""

    root: str = ""  # fingerprint, hex
    trust: int = 0  # version
    size: int = 0  # of the log
    head: str = EMPTY_ROOT.hex()
    lists: Mapping[str, Moment] = field(default_factory=dict)  # path → signed at


@dataclass(frozen=True)
class Logged:
    """What the entries of a log say."""

    releases: tuple[Mapping[str, Any], ...] = ()  # release events, in order; number i at [i - 1]
    turns: tuple[tuple[bytes, ...], ...] = ()  # of each release, its commitments
    digests: tuple[Mapping[str, str], ...] = ()  # of each release, the lists that it changed
    credentials: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # by release
    policies: Mapping[str, str] = field(default_factory=dict)  # digest → text
    deletions: tuple[Mapping[str, Any], ...] = ()

    def lists(self) -> dict[str, str]:
        """Path → digest of every list as the last release left it."""
        return {path: said for changed in self.digests for path, said in changed.items()}


@dataclass(frozen=True)
class Public:
    """What was found, as far as it could be read."""

    root: Root | None
    trust: TrustList | None
    checkpoint: Checkpoint | None
    logged: Logged
    seen: Seen
    public: Folder

    def root_at(self, size: int) -> bytes | None:
        """The root of the log's first entries, None where it has fewer."""
        if self.checkpoint is None or size > self.checkpoint.size:
            return None
        return tiles.root(self.public.read, size)


def audit_public(public: Folder, report: Report, *, seen: Seen, root: str | None = None) -> Public:
    """Everything that a stranger can check, told in `report`.

    root: the fingerprint (hex) that the stranger has from elsewhere; without one the first root seen is kept
    """
    anchor = _root(public, report, root or seen.root)
    trust = None if anchor is None else _trust(public, report, anchor, seen)
    checkpoint = None if trust is None else _log(public, report, trust, seen)
    logged = Logged() if checkpoint is None else _entries(public, report, checkpoint)
    lists: dict[str, Moment] = {}
    if trust is not None and checkpoint is not None:
        _policies(public, report, logged)
        _keys(public, report, checkpoint, trust)
        lists = _lists(public, report, trust, checkpoint, logged, seen)
    now = Seen(
        anchor.fingerprint.hex() if anchor else seen.root,
        max(seen.trust, trust.version if trust else 0),
        checkpoint.size if checkpoint else seen.size,
        checkpoint.root.hex() if checkpoint else seen.head,
        {**seen.lists, **lists},
    )
    return Public(anchor, trust, checkpoint, logged, now, public)


def _root(public: Folder, report: Report, pinned: str) -> Root | None:
    with report.looking(Check.TRUST, "root"):
        anchor = decode_root(public.read("root"))
        if report.must(not pinned or anchor.fingerprint.hex() == pinned, Check.TRUST, "another root", "root"):
            return anchor
    return None


def _trust(public: Folder, report: Report, root: Root, seen: Seen) -> TrustList | None:
    """The current list, and every version from the first one on."""
    with report.looking(Check.TRUST, "trust"):
        content = public.read("trust")
        current = open_trust(content).verify(root)
        report.must(current.version >= seen.trust, Check.TRUST, "an older version than was seen", "trust")
        before: TrustList | None = None
        keys: set[bytes] = set()
        for version in range(1, current.version + 1):
            path = f"trust.d/{version}"
            with report.looking(Check.TRUST, path):
                past = public.read(path)
                found = open_trust(past).verify(root)
                report.must(found.version == version, Check.TRUST, "another version", path)
                if before is not None:
                    successor(before, found, seen=keys)
                keys |= {k.id for a in found.authorities for k in a.keys}
                before = found
                if version == current.version:
                    report.must(past == content, Check.TRUST, "not the last of the history", "trust")
        return current
    return None


def _log(public: Folder, report: Report, trust: TrustList, seen: Seen) -> Checkpoint | None:
    with report.looking(Check.LOG, "checkpoint"):
        publisher = trust.publisher
        keys = [k.public for k in publisher.keys if k.use is Use.LOG and k.revoked_at is None]
        checkpoint = open_checkpoint(public.read("checkpoint"), publisher.origin, *keys)
        report.looked(Check.LOG, checkpoint.size)
        fault = fsck(public.read, checkpoint, public.names("tile/"))
        if fault is not None:
            report.differs(Check.LOG, fault.what, fault.path)
            return None
        if seen.size > checkpoint.size:
            report.differs(Check.LOG, f"shorter than the {seen.size} entries seen before", "checkpoint")
        elif tiles.root(public.read, seen.size).hex() != seen.head:
            report.differs(
                Check.LOG, f"its first {seen.size} entries are not those seen before", "checkpoint"
            )
        return checkpoint
    return None


def _entries(public: Folder, report: Report, checkpoint: Checkpoint) -> Logged:
    """The entries read in order, and that they make sense one after the other."""
    releases: list[Mapping[str, Any]] = []
    turns: list[tuple[bytes, ...]] = []
    digests: list[Mapping[str, str]] = []
    changed: dict[str, str] = {}
    credentials: dict[int, Mapping[str, Any]] = {}
    deletions: list[Mapping[str, Any]] = []
    policies: dict[str, list[Mapping[str, Any]]] = {}
    waiting: list[bytes] = []
    for at, entry in enumerate(_all(public, checkpoint.size)):
        where = f"entry {at}"
        report.looked(Check.ENTRIES)
        with report.looking(Check.ENTRIES, where):
            said = entries.parse(entry)
            if isinstance(said, entries.Commitment):
                waiting.append(entry)
                continue
            event = said.content
            match said.type:
                case "release":
                    _release(report, event, releases, at, len(waiting), where)
                    releases.append(event)
                    turns.append(tuple(waiting))
                    digests.append(changed)
                    waiting, changed = [], {}
                case "lists":
                    changed |= event["lists"]
                case "credentials":
                    credentials[event["release"]] = event
                case "deletion":
                    deletions.append(event)
                case "policy":
                    policies.setdefault(event["digest"], []).append(event)
    if waiting:
        report.differs(Check.ENTRIES, f"{len(waiting)} turns of no release", f"entry {checkpoint.size}")
    texts = {}
    for name, parts in policies.items():
        with report.looking(Check.POLICIES, f"policy {name[:16]}"):
            texts[name] = entries.policy_text(parts)
    return Logged(tuple(releases), tuple(turns), tuple(digests), credentials, texts, tuple(deletions))


def _release(
    report: Report, event: Mapping[str, Any], before: list[Mapping[str, Any]], at: int, turns: int, where: str
) -> None:
    number, (first, count) = event["number"], event["turns"]
    last = before[-1] if before else {"number": 0, "at": 0, "persons": 0}
    if number != last["number"] + 1:
        report.differs(Check.ENTRIES, f"release {number} follows on release {last['number']}", where)
    if event["at"] < last["at"] or event["persons"] < last["persons"]:
        report.differs(Check.ENTRIES, f"release {number} is older than the one before it", where)
    if count != turns or not (count == 0 or 0 <= first <= at - count):
        report.differs(Check.ENTRIES, f"release {number} names {count} turns; {turns} stand there", where)


def _all(public: Folder, size: int) -> Iterable[bytes]:
    stretch = tiles.WIDTH * 64
    for start in range(0, size, stretch):
        yield from tiles.entries_of(public.read, start, min(start + stretch, size), size)


def _policies(public: Folder, report: Report, logged: Logged) -> None:
    for said, text in logged.policies.items():
        path = f"policy/{said}.toml"
        with report.looking(Check.POLICIES, path):
            report.must(public.read(path) == text.encode(), Check.POLICIES, "not the text in the log", path)
    known = {f"policy/{said}.toml" for said in logged.policies}
    for path in sorted(set(public.names("policy/")) - known):
        report.differs(Check.POLICIES, "a policy that the log does not have", path)


def _keys(public: Folder, report: Report, checkpoint: Checkpoint, trust: TrustList) -> None:
    """Every trust list that the log speaks of is the one in the public."""
    for entry in _all(public, checkpoint.size):
        said = entries.parse(entry)
        if not isinstance(said, entries.Event) or said.type != "key" or "trust" not in said.content:
            continue
        path = f"trust.d/{said.content['trust']}"
        with report.looking(Check.TRUST, path):
            payload = open_trust(public.read(path)).message.payload
            found = hashlib.sha256(payload).hexdigest()
            report.must(found == said.content["digest"], Check.TRUST, "not the list in the log", path)


def _lists(
    public: Folder, report: Report, trust: TrustList, checkpoint: Checkpoint, logged: Logged, seen: Seen
) -> dict[str, Moment]:
    """Path → signed at, of every list that doors may download."""
    signed_at: dict[str, Moment] = {}
    said, when = logged.lists(), {r["number"]: r for r in logged.releases}
    wanted = _in_use(trust, logged)
    paths = set(public.names("status/")) or wanted
    for path in sorted(paths):
        report.looked(Check.LISTS)
        with report.looking(Check.LISTS, path):
            if path.endswith(".delta"):
                _delta(public, report, trust, path)
                continue
            found = _verified(trust, public.read(path))
            signed_at[path] = found.iat
            right = said.get(path)
            if found.sub != f"{trust.publisher.base}/{path}":
                report.differs(Check.LISTS, f"it is signed as {found.sub}", path)
            if right is None:
                report.differs(Check.LISTS, "a list of which the log says nothing", path)
            elif digest(found.raw).hex() != right:
                report.differs(Check.LISTS, "another list than the log says", path)
            release = when.get(found.release)
            if (
                release is None
                or not release["at"] <= found.iat <= release["at"] + 60
                or found.tree_size > checkpoint.size
            ):
                report.differs(Check.LISTS, "signed for a release that the log does not have", path)
            if found.iat < seen.lists.get(path, 0):
                report.differs(Check.LISTS, "older than one that was seen before", path)
    for path in sorted(wanted - paths):
        report.differs(Check.LISTS, "a list is missing", path)
    return signed_at


def _in_use(trust: TrustList, logged: Logged) -> set[str]:
    """The lists that credentials may name after the last release: today's and later ones, and those of paper."""
    if not logged.releases:
        return set()
    today = zone(trust.publisher.zone).day(logged.releases[-1]["at"])
    return {path for path in logged.lists() if day_of(path) >= today - (PAPER_DAYS if is_extra(path) else 0)}


def day_of(path: str) -> int:
    """The local day of a list's family: `status/<day>[.<series>]/<n>`, with an x before the day for extra ones."""
    return int(path.split("/")[1].removeprefix("x").partition(".")[0])


def is_extra(path: str) -> bool:
    return path.split("/")[1].startswith("x")


def _verified(trust: TrustList, content: bytes) -> token.StatusList:
    opened = token.open_cwt(content)
    return opened.verify(_status_key(trust, opened.key_id, opened.claims.iat))


def _status_key(trust: TrustList, key_id: bytes, at: Moment) -> PublicKey:
    key = trust.key(key_id)
    if key is None or key.use is not Use.STATUS or trust.authority_of(key_id) is not trust.publisher:
        raise Refused(Code.UNTRUSTED, hint="signed by no status key of this city")
    if not key.signs(at):
        raise Refused(Code.UNTRUSTED, hint="signed by a key that might not sign then")
    return key.public


def _delta(public: Folder, report: Report, trust: TrustList, path: str) -> None:
    opened = delta.open_delta(public.read(path))
    found = opened.verify(_status_key(trust, opened.key_id, opened.claims.iat))
    whole = _verified(trust, public.read(path.removesuffix(".delta")))
    if found.claims.iat == whole.iat and found.result != digest(whole.raw):
        report.differs(Check.LISTS, "leads to another list than is published", path)
