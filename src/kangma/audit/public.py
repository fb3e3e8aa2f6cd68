"""What a stranger can check, with the public folder and nothing else: no evidence, no person, no trust in the city.

That the root stands behind the keys; that the log is one log and holds all that it ever held; that releases follow on
each other; that policies are public in full, and nobody was judged by another; and that every list that doors download
is signed, is what the log says, and is not older than one that was seen before. That the turns in the log are right,
only an auditor with the evidence can say (`kangma.audit.whole`); that there are no others, everybody can.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kangma.audit.report import Check, Report
from kangma.credential.issue import PAPER_DAYS
from kangma.errors import Code, Conflict, Corrupt, Refused, Where
from kangma.policy.document import Timeline, checked, timeline
from kangma.sealed import part
from kangma.sealed.slot import PATH
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
    policies_by: tuple[int, ...] = ()  # of each release, how many of them stood in the log before it
    deletions: tuple[Mapping[str, Any], ...] = ()
    trusts: Mapping[int, str] = field(default_factory=dict)  # version of the trust list → digest

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
    anchor = root_of(public, report, root or seen.root)
    trust = None if anchor is None else trust_of(public, report, anchor, seen)
    checkpoint = None if trust is None else log_of(public, report, trust, seen)
    logged = Logged() if checkpoint is None else entries_of(public, report, checkpoint)
    lists: dict[str, Moment] = {}
    if trust is not None and checkpoint is not None:
        policies_as_logged(public, report, logged)
        judged_by_policies(report, logged)
        trusts_as_logged(public, report, logged)
        found = _lists(public, report, trust, checkpoint, logged, seen)
        pointer(public, report, trust, checkpoint, logged, found)
        sealed_slots(public, report, trust, checkpoint, logged)
        lists = {path: x.iat for path, x in found.items()}
    now = Seen(
        anchor.fingerprint.hex() if anchor else seen.root,
        max(seen.trust, trust.version if trust else 0),
        checkpoint.size if checkpoint else seen.size,
        checkpoint.root.hex() if checkpoint else seen.head,
        {**seen.lists, **lists},
    )
    return Public(anchor, trust, checkpoint, logged, now, public)


def root_of(public: Folder, report: Report, pinned: str) -> Root | None:
    with report.looking(Check.TRUST, "root"):
        anchor = decode_root(public.read("root"))
        if report.must(not pinned or anchor.fingerprint.hex() == pinned, Check.TRUST, "another root", "root"):
            return anchor
    return None


def trust_of(public: Folder, report: Report, root: Root, seen: Seen) -> TrustList | None:
    """The current list, and every version from the first one on, each with nothing but good signatures."""
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
                opened = open_trust(past)
                found = opened.verify(root)
                several = len(opened.message.signatures)
                report.must(
                    len(opened.signers(root)) == several, Check.TRUST, "a signature that is none", path
                )
                report.must(found.version == version, Check.TRUST, "another version", path)
                if before is not None:
                    successor(before, found, seen=keys)
                keys |= {k.id for a in found.authorities for k in a.keys}
                before = found
                if version == current.version:
                    report.must(past == content, Check.TRUST, "not the last of the history", "trust")
        known = {f"trust.d/{version}" for version in range(1, current.version + 1)}
        for path in sorted(set(public.names("trust.d/")) - known):
            report.differs(Check.TRUST, "a list of no version that there is", path)
        return current
    return None


def log_of(public: Folder, report: Report, trust: TrustList, seen: Seen) -> Checkpoint | None:
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


def entries_of(public: Folder, report: Report, checkpoint: Checkpoint) -> Logged:
    """The entries read in order, and that they make sense one after the other."""
    releases: list[Mapping[str, Any]] = []
    turns: list[tuple[bytes, ...]] = []
    digests: list[Mapping[str, str]] = []
    changed: dict[str, str] = {}
    credentials: dict[int, Mapping[str, Any]] = {}
    deletions: list[Mapping[str, Any]] = []
    trusts: dict[int, str] = {}
    policies: dict[str, list[Mapping[str, Any]]] = {}
    policies_by: list[int] = []
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
                    policies_by.append(len(policies))
                    digests.append(changed)
                    waiting, changed = [], {}
                case "lists":
                    changed |= event["lists"]
                case "credentials":
                    credentials[event["release"]] = event
                case "deletion":
                    deletions.append(event)
                case "key" if "trust" in event:
                    trusts[event["trust"]] = event["digest"]
                case "policy":
                    policies.setdefault(event["digest"], []).append(event)
    if waiting:
        report.differs(Check.ENTRIES, f"{len(waiting)} turns of no release", f"entry {checkpoint.size}")
    texts = {}
    for name, parts in policies.items():
        with report.looking(Check.POLICIES, f"policy {name[:16]}"):
            texts[name] = entries.policy_text(parts)
    return Logged(
        tuple(releases),
        tuple(turns),
        tuple(digests),
        credentials,
        texts,
        tuple(policies_by),
        tuple(deletions),
        trusts,
    )


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


def policies_as_logged(public: Folder, report: Report, logged: Logged) -> None:
    for said, text in logged.policies.items():
        path = f"policy/{said}.toml"
        with report.looking(Check.POLICIES, path):
            report.must(public.read(path) == text.encode(), Check.POLICIES, "not the text in the log", path)
    known = {f"policy/{said}.toml" for said in logged.policies}
    for path in sorted(set(public.names("policy/")) - known):
        report.differs(Check.POLICIES, "a policy that the log does not have", path)


def judged_by_policies(report: Report, logged: Logged) -> None:
    """Every release says that it was judged by the policy that was in force, by what stood in the log when it was made:
    nobody is judged by rules that were not public."""
    texts = tuple(logged.policies.values())
    for event, known in zip(logged.releases, logged.policies_by, strict=True):
        where = f"release {event['number']}"
        with report.looking(Check.POLICIES, where):
            try:
                force = _timeline(texts[:known]).force(event["at"])
            except Conflict:
                raise Corrupt("an amendment stands in the log without what it amends") from None
            what = "it was judged by a policy that is not in the log"
            report.must(event.get("policy") == force.digest, Check.POLICIES, what, where)


@lru_cache(maxsize=8)
def _timeline(texts: tuple[str, ...]) -> Timeline:
    return timeline(checked(texts))


def trusts_as_logged(public: Folder, report: Report, logged: Logged) -> None:
    """Every trust list that the log speaks of is the one in the public."""
    for version, said in logged.trusts.items():
        path = f"trust.d/{version}"
        with report.looking(Check.TRUST, path):
            found = hashlib.sha256(open_trust(public.read(path)).message.payload).hexdigest()
            report.must(found == said, Check.TRUST, "not the list in the log", path)


def _lists(
    public: Folder, report: Report, trust: TrustList, checkpoint: Checkpoint, logged: Logged, seen: Seen
) -> dict[str, token.StatusList]:
    """Path → list, of every list that doors may download."""
    found: dict[str, token.StatusList] = {}
    wanted = _in_use(trust, logged)
    paths = set(public.names("status/")) or wanted
    for path in sorted(paths):
        if path.endswith(".delta"):
            delta_of(public, report, trust, path)
        elif (there := list_of(public, report, trust, checkpoint, logged, seen, path)) is not None:
            found[path] = there
    for path in sorted(wanted - paths):
        report.differs(Check.LISTS, "a list is missing", path)
    return {path: x for path, x in found.items() if path in wanted}


def list_of(
    public: Folder,
    report: Report,
    trust: TrustList,
    checkpoint: Checkpoint,
    logged: Logged,
    seen: Seen,
    path: str,
) -> token.StatusList | None:
    """One list: signed by a status key, as itself, for a release that there is, and with what the log says is in it."""
    report.looked(Check.LISTS)
    with report.looking(Check.LISTS, path):
        content = public.read(path)
        found = _verified(trust, content)
        right = logged.lists().get(path)
        if found.sub != f"{trust.publisher.base}/{path}":
            report.differs(Check.LISTS, f"it is signed as {found.sub}", path)
        if right is None:
            report.differs(Check.LISTS, "a list of which the log says nothing", path)
        elif digest(found.raw).hex() != right:
            report.differs(Check.LISTS, "another list than the log says", path)
        release = next((r for r in logged.releases if r["number"] == found.release), None)
        key = trust.key(token.open_cwt(content).key_id)
        # At the moment of its release; where the key of that moment was revoked before it signed, when the next began.
        begun = 0 if key is None else key.not_before
        if (
            release is None
            or not release["at"] <= found.iat <= max(release["at"], begun) + 60
            or found.tree_size > checkpoint.size
        ):
            report.differs(Check.LISTS, "signed for a release that the log does not have", path)
        if found.iat < seen.lists.get(path, 0):
            report.differs(Check.LISTS, "older than one that was seen before", path)
        return found
    return None


def delta_of(public: Folder, report: Report, trust: TrustList, path: str) -> None:
    """One delta: signed by a status key, for its list, and leading to what is published, if to the newest version."""
    report.looked(Check.LISTS)
    with report.looking(Check.LISTS, path):
        opened = delta.open_delta(public.read(path))
        claims = opened.verify(_status_key(trust, opened.key_id, opened.claims.iat)).claims
        whole = _verified(trust, public.read(path.removesuffix(".delta")))
        if claims.sub != whole.sub or claims.iat > whole.iat:
            report.differs(Check.LISTS, "the delta of another list", path)
        if claims.iat == whole.iat and opened.result != digest(whole.raw):
            report.differs(Check.LISTS, "leads to another list than is published", path)


def sealed_slots(
    public: Folder, report: Report, trust: TrustList, checkpoint: Checkpoint, logged: Logged
) -> None:
    """Every part of sealed slots: signed by a status key, as itself, for a release that there is, all of its buckets.
    What is in them nobody can tell, whether anything is in them neither. Behind an address there is no list of them."""
    for path in public.names("sealed/"):
        report.looked(Check.SEALED)
        with report.looking(Check.SEALED, path):
            _part(public, report, trust, checkpoint, logged, path)


def _part(
    public: Folder, report: Report, trust: TrustList, checkpoint: Checkpoint, logged: Logged, path: str
) -> None:
    if PATH.fullmatch(path) is None:
        report.differs(Check.SEALED, "a file that is no part of sealed slots", path)
        return
    content = public.read(path)
    opened = [part.open_bucket(content[at : at + part.BUCKET]) for at in range(0, len(content), part.BUCKET)]
    if len(opened) != part.BUCKETS:
        report.differs(Check.SEALED, f"{len(opened)} buckets", path)
    first = opened[0]
    said = first.statement
    first.verify(_status_key(trust, first.key_id, said.iat), 0)
    head = content[: part.SAID]
    for n, bucket in enumerate(opened):
        # One signature is enough: that of the others is the same, byte for byte, and each leads to the one root.
        if content[n * part.BUCKET :][: part.SAID] != head or not bucket.leads_to(n, said.root):
            report.differs(Check.SEALED, f"bucket {n} is not the one that was signed", path)
    if said.sub != f"{trust.publisher.base}/{path}":
        report.differs(Check.SEALED, f"it is signed as another part: {said.sub}", path)
    released = {r["number"]: r["at"] for r in logged.releases}
    if said.tree_size > checkpoint.size or not released.get(said.release, said.iat + 1) <= said.iat:
        report.differs(Check.SEALED, "signed for a release that the log does not have", path)


def pointer(
    public: Folder,
    report: Report,
    trust: TrustList,
    checkpoint: Checkpoint,
    logged: Logged,
    lists: Mapping[str, token.StatusList],
) -> None:
    """`latest.json` is not signed, and points at what is: to everything that is in use, and to nothing else. A door
    that fetches over the network hears of no list but those it names."""
    if not logged.releases or lists.keys() != _in_use(trust, logged):
        return  # what is missing was told already
    last = logged.releases[-1]
    families: dict[str, dict[str, int]] = {}
    for path, found in lists.items():
        one = families.setdefault(
            path.split("/")[1], {"day": day_of(path), "lists": 0, "entries": found.size}
        )
        one["lists"] += 1
    right = {
        "release": last["number"],
        "at": last["at"],
        "trust": max(logged.trusts, default=0),
        "log": {"size": checkpoint.size, "root": checkpoint.root.hex()},
        "families": families,
        "lists": {path: found.iat for path, found in lists.items()},
    }
    with report.looking(Check.LISTS, "latest.json"):
        content = public.read("latest.json")
        said = json.loads(content)
        same = json.dumps(said, sort_keys=True) == json.dumps(right, sort_keys=True)
        report.must(
            same and json.dumps(said, indent=1).encode() == content,
            Check.LISTS,
            "points elsewhere than to what is there",
            "latest.json",
        )


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
