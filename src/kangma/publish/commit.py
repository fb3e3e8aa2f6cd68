"""Publication: stage → compare-and-swap → apply → announce, and a recovery that runs the same apply.

 1 propose   the signer says what the log would be with this release in it         → nothing is kept
 2 stage     meanwhile: tables and the proposal as a folder, fsynced               → a folder that no row names
 3 record    one registry transaction: lease, number and log head as they were     → the release is the last one
 4 apply     the signer signs what was recorded; the files go into the public folder
 5 announce  the registry knows that the public folder holds it all                → done

A crash before 3 leaves nothing; the next cycle stages anew. After 3 the release stands: whoever comes next runs 4 and 5
with what was staged, before anything else. Signing is deterministic, so it does not matter how often or by whom.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from kangma.errors import Corrupt
from kangma.publish.issue import Proposal
from kangma.publish.release import drop_old_tables, folder_of, stage
from kangma.publish.signer import ReleaseSigner
from kangma.publish.tables import Table
from kangma.store import registry as r
from kangma.store.durable import file_digest
from kangma.store.public import drop_public, write_public
from kangma.store.releases import (
    Head,
    Lease,
    Release,
    last_release,
    record_announced,
    record_release,
    releases,
    require_first,
)
from kangma.store.state import State

PROPOSAL = "proposal.json"


def commit(
    state: State,
    lease: Lease,
    signer: ReleaseSigner | None,
    release: Release,
    tables: Mapping[str, Table],
    *,
    zone: str,
    upon: Head | None,
) -> tuple[Release, dict[str, Table]]:
    """`release` with these tables is the last one and public, durable on return; without a signer it is the last one.
    The tables come back as the next release will need them.

    Conflict when somebody else was first, Unavailable when the signer or the disk is not there now: what was recorded
    by then is applied by `recover`, what was not is as if it had never been.
    """
    if signer is None:
        require_first(state.registry, lease, release.number)
        written = stage(state, release.number, tables)
        release = _with_files(state, release)
        record_release(state.registry, lease, release, upon=upon)
    else:
        now = signer.describe()
        proposal = _proposal(
            state,
            release,
            tables["turns"].rows,
            zone=zone,
            policies=_policies(state),
            deletions=_deletions(state),
            trust=now.trust,
            journal=now.journal,
        )
        require_first(state.registry, lease, release.number)
        # What is staged does not depend on the head, and most of staging waits for the disk.
        with ThreadPoolExecutor(1) as beside:
            staged = beside.submit(stage, state, release.number, tables, {PROPOSAL: _as_json(proposal)})
            release = replace(release, head=signer.propose(proposal), announced=False)
        written = staged.result()
        release = _with_files(state, release)
        record_release(state.registry, lease, release, upon=upon)
        apply(state, signer, release, proposal)
        release = replace(release, announced=True)
    drop_old_tables(state, release.number)
    return release, written


def _with_files(state: State, release: Release) -> Release:
    """`release` with the SHA-256 of each file that was staged for it: the next cycle builds on them, the audit looks."""
    folder = folder_of(state, release.number)
    files = {str(f.relative_to(folder)): file_digest(f) for f in sorted(folder.rglob("*")) if f.is_file()}
    return replace(release, counts={**release.counts, "files": files})


def apply(state: State, signer: ReleaseSigner, release: Release, proposal: Proposal) -> None:
    """A recorded release is signed and public, durable on return. May be repeated."""
    if release.head is None:
        raise Corrupt(f"release {release.number} has no place in the log")
    files = signer.publish(proposal, release.head)
    for digest, _, _, text in proposal.policies:
        policy = state.path / "public" / "policy" / f"{digest}.toml"
        if not policy.exists():
            files = {f"policy/{digest}.toml": text.encode()} | files
    write_public(state.path / "public", files)
    record_announced(state.registry, release.number)
    drop_public(state.path / "public", keep=set(json.loads(files["latest.json"])["families"]))


def recover(state: State, signer: ReleaseSigner) -> int:
    """Every recorded release is public; how many were not. To be called under the writer's lock, before a cycle.

    A signer whose book is behind, restored from a copy perhaps, is led through the releases that it missed; their files,
    which the public has in newer forms, are not written again. Corrupt when the registry is behind the signer or behind
    the public folder: it was rolled back, and nothing may be built on it.
    """
    known, shown, last = signer.describe(), _shown(state), last_release(state.registry)
    newest = 0 if last is None or last.head is None else last.number
    if known.number > newest:
        raise Corrupt(
            f"the log goes up to release {known.number}, the registry to {newest}: the registry was rolled back"
        )
    if shown > newest:
        raise Corrupt(
            f"the public folder shows release {shown}, the registry has {newest}: registry and signer were rolled "
            "back, and a second log of the same city must not come out"
        )
    missed = releases(state.registry, since=known.number + 1) if known.number < newest else []
    waiting = {
        x.number: x for x in (*releases(state.registry, unannounced=True), *missed) if x.head is not None
    }
    for _, release in sorted(waiting.items()):
        proposal = _staged(state, release)
        if release.announced and release.number < shown and release.head is not None:
            signer.publish(proposal, release.head)
        else:
            apply(state, signer, release, proposal)
    if not waiting and newest and last is not None and known.head != last.head:
        raise Corrupt("the registry's log is not the signer's: one of the two was changed")
    return len(waiting)


def _shown(state: State) -> int:
    """The release that the public folder says it holds: its last file says so. 0 when it says nothing."""
    try:
        return int(json.loads((state.path / "public" / "latest.json").read_bytes())["release"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _proposal(state: State, release: Release, turns: pa.Table, **more: Any) -> Proposal:
    persons = turns["person"]
    keys = np.frombuffer(b"".join(state.person_keys(persons)), np.uint8).reshape(-1, 16)
    facts = {
        "generation": release.generation,
        "evidence": release.counts["evidence"],
        "policy": release.policy_digest,
        "verdicts": release.verdict_digest,
        "keys": state.persons_digest_then(int(str(release.counts["persons"]))),
    }
    return Proposal(
        number=release.number,
        now=release.now,
        persons=int(str(release.counts["persons"])),
        turns=turns,
        keys=keys,
        facts=facts,
        **more,
    )


def _as_json(proposal: Proposal) -> bytes:
    """What of a proposal is not in the tables or the registry. Policies by digest: their texts do not change."""
    return json.dumps(
        {
            "zone": proposal.zone,
            "policies": [p[0] for p in proposal.policies],
            "deletions": [[run, at, dict(counts)] for run, at, counts in proposal.deletions],
            "trust": list(proposal.trust),
            "journal": proposal.journal,
        }
    ).encode()


def _staged(state: State, release: Release) -> Proposal:
    """The proposal of a recorded release, as it was staged. Corrupt when it is not there."""
    folder = folder_of(state, release.number)
    try:
        said = json.loads((folder / PROPOSAL).read_bytes())
        turns = pq.read_table(folder / "turns.parquet")
    except (OSError, ValueError, pa.ArrowException) as problem:
        raise Corrupt(f"release {release.number} lacks what was staged for it") from problem
    return _proposal(
        state,
        release,
        turns,
        zone=said["zone"],
        policies=tuple(p for p in _policies(state) if p[0] in said["policies"]),
        deletions=tuple((run, at, counts) for run, at, counts in said["deletions"]),
        trust=(said["trust"][0], said["trust"][1]),
        journal=said["journal"],
    )


def _policies(state: State) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((p.digest, p.id, p.version, p.document) for p in state.policies())


def _deletions(state: State) -> tuple[tuple[int, int, dict[str, int]], ...]:
    """Deletion runs that were carried out: (run, when, rows by kind)."""
    c = r.deletions.c
    query = sa.select(r.deletions).where(c.state == "shredded").order_by(c.run)
    with state.registry.read() as on:
        return tuple(
            (x.run, x.shredded_at, {k: n.get("shredded", 0) for k, n in json.loads(x.counts).items()})
            for x in on.execute(query)
        )
