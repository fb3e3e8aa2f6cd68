"""Every step of publication fails: before it did anything, and after it did everything but could not say so."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from released import Door, Town, is_public, ready_to_commit, recovered, the_town

from kangma.audit.public import Folder, Seen, audit_public
from kangma.audit.report import Report
from kangma.audit.whole import audit
from kangma.errors import Conflict, KangmaError, Unavailable
from kangma.publish import commit as commit_module
from kangma.publish.cycle import cycle
from kangma.publish.signer import LocalSigner
from kangma.signing.rotation import emergency
from kangma.signing.trust import Use, sign_trust
from kangma.store.keyfiles import read_key_file
from kangma.store.signing import install, new_keys, open_signing
from kangma.store.state import open_state
from kangma.terms import HOUR

MINUTE = 60
EIO, FULL = OSError(errno.EIO, "the disk fails"), OSError(errno.ENOSPC, "the disk is full")
LATER, FIRST = Unavailable("not now"), Conflict("somebody was first")

#: Where each step lies, and how it may fail. "before": nothing of it was done; "after": all of it, and nobody heard.
STEPS: dict[str, tuple[object, str, tuple[Exception, ...]]] = {
    "describe": (LocalSigner, "describe", (LATER,)),
    "propose": (LocalSigner, "propose", (LATER, EIO)),
    "stage": (commit_module, "stage", (FULL, EIO)),
    "record": (commit_module, "record_release", (FIRST, LATER)),
    "sign": (LocalSigner, "publish", (LATER, EIO)),
    "write": (commit_module, "write_public", (FULL, EIO)),
    "announce": (commit_module, "record_announced", (LATER,)),
    "drop lists": (commit_module, "drop_public", (EIO,)),
    "drop tables": (commit_module, "drop_old_tables", (EIO,)),
}
CASES = [
    pytest.param(step, when, error, id=f"{step}-{when}-{type(error).__name__}{getattr(error, 'errno', '')}")
    for step, (_, _, errors) in STEPS.items()
    for error, when in itertools.product(errors, ("before", "after"))
]
FEW = [c for c in CASES if c.values[2] is STEPS[c.values[0]][2][0]]
MORE = [c for c in CASES if c not in FEW]


@pytest.fixture(scope="module")
def town() -> Town:
    return the_town()


def failing(patch: pytest.MonkeyPatch, step: str, when: str, error: Exception) -> None:
    where, name, _ = STEPS[step]
    right: Callable[..., Any] = getattr(where, name)

    def wrong(*args: Any, **more: Any) -> Any:
        if when == "after":
            right(*args, **more)
        raise error

    patch.setattr(where, name, wrong)


def disturbed(path: Path, town: Town, step: str, when: str, error: Exception, *, at: int = 0) -> None:
    """One cycle in which a step fails."""
    with pytest.MonkeyPatch.context() as patch, open_state(path) as state, LocalSigner(path) as signer:
        failing(patch, step, when, error)
        with pytest.raises((KangmaError, OSError)):
            cycle(state, now=town.now + at, signer=signer)


def fails_once(town: Town, folder: Path, step: str, when: str, error: Exception) -> None:
    path, door = town.copied(folder), Door()
    door.look(path / "public")
    with pytest.MonkeyPatch.context() as patch, ready_to_commit(path, town.now) as commit:
        failing(patch, step, when, error)
        with pytest.raises(type(error)):
            commit()
    done = recovered(path, door, now=town.now + MINUTE, verdicts=town.verdicts)
    # Recorded is the point of no return: before it the release is made anew, after it it stands.
    stands = (step, when) == ("record", "after") or list(STEPS).index(step) > list(STEPS).index("record")
    assert done.turns.num_rows == (0 if stands else town.turns)


@pytest.mark.parametrize(("step", "when", "error"), FEW)
def test_a_step_that_fails_loses_and_doubles_nothing(
    town: Town, tmp_path: Path, step: str, when: str, error: Exception
) -> None:
    fails_once(town, tmp_path, step, when, error)


@pytest.mark.prove
@pytest.mark.parametrize(("step", "when", "error"), MORE)
def test_a_step_that_fails_in_another_way_loses_nothing_either(
    town: Town, tmp_path: Path, step: str, when: str, error: Exception
) -> None:
    fails_once(town, tmp_path, step, when, error)


def test_a_recovery_that_fails_at_every_step_in_turn_is_taken_up_again(town: Town, tmp_path: Path) -> None:
    path, door = town.copied(tmp_path), Door()
    minutes = itertools.count(0, MINUTE)
    disturbed(path, town, "record", "after", LATER, at=next(minutes))
    for step, when in itertools.product(("sign", "write", "announce", "drop lists"), ("before", "after")):
        door.look(path / "public")
        if (step, when) == ("drop lists", "before"):
            break  # announced before: there is nothing to recover any more
        disturbed(path, town, step, when, LATER, at=next(minutes))
    done = recovered(path, door, now=town.now + next(minutes), verdicts=town.verdicts)
    assert done.turns.num_rows == 0


@pytest.mark.parametrize(("use", "after"), [(Use.STATUS, 30), (Use.LOG, 30), (Use.STATUS, 2 * HOUR)])
def test_a_release_whose_key_is_revoked_before_it_signed_is_signed_by_the_key_that_takes_its_place(
    town: Town, tmp_path: Path, use: Use, after: int
) -> None:
    """Recorded, then the emergency, then the crash is mended: the city goes on, and doors believe the new key only."""
    path = town.copied(tmp_path)
    disturbed(path, town, "sign", "before", LATER)
    officers = [read_key_file(path / "root" / f"root-{n}.pem") for n in (1, 2)]
    signing = open_signing(path)
    stolen, at = signing.signer(use, town.now).key_id, town.now + after
    fresh = new_keys(path, [use], signing.trust.environment)[use].public
    install(path, sign_trust(emergency(signing.trust, stolen, fresh, at), officers), now=at)
    with open_state(path) as state, LocalSigner(path) as signer:
        assert commit_module.recover(state, signer) == 1
        is_public(state, path)
        audit_public(Folder.at(str(path / "public")), report := Report(), seen=Seen())
        assert report.clean, report.differences[:5]
        done = cycle(state, now=town.now + after + 30, signer=signer)
        report = Report()
        audit(state, report, seen=Seen())
        assert report.clean, report.differences[:5]
    assert (done.turns.num_rows, done.release.verdict_digest) == (0, town.verdicts)
    Door().look(path / "public")
