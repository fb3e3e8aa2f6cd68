"""One writer, one signer; and what becomes of a signer or a registry that was put back from a copy."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from released import Door, Town, recovered, the_town, turned
from turns import CONTEXT

from kangma.errors import Conflict, Corrupt, KangmaError, Unavailable
from kangma.publish import commit as commit_module
from kangma.publish.city import has_keys
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import cycle
from kangma.publish.release import folder_of, read_table
from kangma.publish.signer import LocalSigner
from kangma.store import registry as r
from kangma.store.releases import Lease, acquire, last_release, record_release, release
from kangma.store.state import State, open_state
from kangma.terms import DAY, HOUR, zone

MINUTE = 60


def long(value: object) -> Any:
    return pytest.param(value, marks=pytest.mark.prove)


@pytest.fixture(scope="module")
def town() -> Town:
    return the_town()


def files(path: Path, *parts: str) -> dict[str, bytes]:
    """Everything in these folders."""
    found = [f for part in parts for f in sorted((path / part).rglob("*")) if f.is_file()]
    return {str(f.relative_to(path)): f.read_bytes() for f in found}


# one writer ----------------------------------------------------------------------------------------------------------


def test_of_many_cycles_at_once_one_turns_the_wheel_and_the_others_are_told(
    town: Town, tmp_path: Path
) -> None:
    path, door = town.copied(tmp_path), Door()
    said: list[str] = []
    start = threading.Barrier(4)

    def one(state: State) -> None:
        start.wait()
        try:
            said.append(f"release {cycle(state, now=town.now, signer=signer).release.number}")
        except (Conflict, Unavailable) as problem:
            said.append(type(problem).__name__)

    with open_state(path) as state, open_state(path) as other, LocalSigner(path) as signer:
        threads = [threading.Thread(target=one, args=(s,)) for s in (state, state, other, other)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert said.count("release 4") == 1
    assert set(said) <= {"release 4", "Unavailable", "Conflict"}
    assert recovered(path, door, now=town.now + MINUTE, verdicts=town.verdicts).turns.num_rows == 0


def _another_signer(path: str, say: Any) -> None:
    try:
        LocalSigner(Path(path)).close()
        say.send("got it")
    except KangmaError as problem:
        say.send(type(problem).__name__)


def test_a_second_signer_is_refused_in_this_process_and_in_another(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)

    def elsewhere() -> str:
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_another_signer, args=(str(path), theirs))
        process.start()
        said = ours.recv()
        process.join()
        return str(said)

    with LocalSigner(path):
        with pytest.raises(Unavailable):
            LocalSigner(path)
        assert elsewhere() == "Unavailable"
    assert elsewhere() == "got it"
    LocalSigner(path).close()


def losing_the_lease(
    patch: pytest.MonkeyPatch, state: State, step: str, then: Callable[[State, Lease], None]
) -> None:
    """Before this step another machine holds the lease: ours had expired."""
    right = getattr(commit_module, step)

    def late(*args: Any, **more: Any) -> Any:
        patch.setattr(commit_module, step, right)
        later = last_release(state.registry).now + 30 * DAY  # type: ignore[union-attr]
        then(state, acquire(state.registry, "cycle", "another machine", now=later))
        return right(*args, **more)

    patch.setattr(commit_module, step, late)


@pytest.mark.parametrize("step", [long("require_first"), long("stage"), "record_release"])
def test_a_cycle_that_lost_its_lease_signs_nothing(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, door = town.copied(tmp_path), Door()
    before = files(path, "public", "signer/book")
    with open_state(path) as state, LocalSigner(path) as signer:
        losing_the_lease(monkeypatch, state, step, lambda _, __: None)
        with pytest.raises(Conflict):
            cycle(state, now=town.now, signer=signer)
        assert last_release(state.registry).number == 3  # type: ignore[union-attr]
        release_lease(state)
    assert files(path, "public", "signer/book") == before
    recovered(path, door, now=town.now + MINUTE, verdicts=town.verdicts)


def release_lease(state: State) -> None:
    """The other machine is done."""
    later = last_release(state.registry).now + 60 * DAY  # type: ignore[union-attr]
    release(state.registry, acquire(state.registry, "cycle", "another machine", now=later))


def test_a_cycle_that_comes_late_leaves_the_tables_of_the_other_alone(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine recorded release 4 while this one was on its way to stage its own."""
    path, door = town.copied(tmp_path), Door()
    with open_state(path) as state, LocalSigner(path) as signer:

        def another(state: State, lease: Lease) -> None:
            made = cycled_elsewhere[0]
            tables = {t: read_table(state, last_release(state.registry), t) for t in ("out", "aliases")}
            commit_module.stage(state, 4, tables | {"turns": made[1]}, {"proposal.json": made[2]})
            record_release(state.registry, lease, made[0], upon=last_release(state.registry).head)  # type: ignore[union-attr]

        cycled_elsewhere = [what_another_makes(town, tmp_path / "elsewhere")]
        losing_the_lease(monkeypatch, state, "require_first", another)
        with pytest.raises(Conflict):
            cycle(state, now=town.now, signer=signer)
        staged = files(path, "releases/00000004")
        assert staged["releases/00000004/proposal.json"] == cycled_elsewhere[0][2]
        assert last_release(state.registry).number == 4  # type: ignore[union-attr]
    assert door.release == 0


def what_another_makes(town: Town, folder: Path) -> tuple[Any, Any, bytes]:
    folder.mkdir()
    path = town.copied(folder)
    done = turned(path, town.now + 1)
    with open_state(path) as state:
        said = (folder_of(state, 4) / "proposal.json").read_bytes()
    return done.release, done.turns, said + b"\n"


# put back from a copy ------------------------------------------------------------------------------------------------


def three_more(town: Town, path: Path, *, credentials: bool = False) -> None:
    """Three releases: the day that waits, and two later."""
    for n in range(3):
        now = town.now + n * HOUR
        with open_state(path) as state, LocalSigner(path) as signer:
            if credentials:
                on_paper(state, signer, 5, today=zone("Asia/Shanghai").day(now), now=now)
            cycle(state, now=now, signer=signer)


@pytest.mark.parametrize("missed", [long(1), long(2), 3])
def test_a_signer_whose_book_is_older_is_led_through_what_it_missed(
    town: Town, tmp_path: Path, missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, door = town.copied(tmp_path), Door()
    kept: list[dict[str, bytes]] = []
    for n in range(3):
        kept.append(files(path, "signer"))
        with open_state(path) as state, LocalSigner(path) as signer:
            cycle(state, now=town.now + n * HOUR, signer=signer)
    door.look(path / "public")
    for name in ("book", "book.before"):
        (path / "signer" / name).write_bytes(kept[-missed][f"signer/{name}"])

    # Nothing older comes back into the public folder meanwhile, not even for a moment.
    right = commit_module.write_public

    def watched(folder: Path, new: dict[str, bytes]) -> None:
        right(folder, new)
        door.look(folder)

    monkeypatch.setattr(commit_module, "write_public", watched)
    done = recovered(path, door, now=town.now + 2 * HOUR + MINUTE, verdicts=None)
    assert done.release.number == 7


def test_a_whole_folder_put_back_is_led_on_as_long_as_nothing_is_lost_with_it(
    town: Town, tmp_path: Path
) -> None:
    """No resident turned for the first time since the copy, and no credential was issued."""
    path, door = town.copied(tmp_path), Door()
    turned(path, town.now)
    shutil.copytree(path / "signer", tmp_path / "copy")
    for n in (1, 2, 3):
        assert turned(path, town.now + n * HOUR).turns.num_rows == 0
    door.look(path / "public")
    shutil.rmtree(path / "signer")
    shutil.copytree(tmp_path / "copy", path / "signer")
    recovered(path, door, now=town.now + 4 * HOUR, verdicts=None)


@pytest.mark.parametrize("lost", ["salts", "journal"])
def test_a_folder_put_back_without_a_salt_or_a_credential_stops_and_signs_nothing(
    town: Town, tmp_path: Path, lost: str
) -> None:
    """Neither can be made again: without the salt a leaf cannot be opened, without the record a code is unknown."""
    path = town.copied(tmp_path)
    shutil.copytree(path / "signer", tmp_path / "copy")
    three_more(town, path, credentials=lost == "journal")
    before = files(path, "public")
    if lost == "journal":
        shutil.copy(path / "signer" / "salts", tmp_path / "copy" / "salts")
    shutil.rmtree(path / "signer")
    shutil.copytree(tmp_path / "copy", path / "signer")
    for _ in range(2):
        with open_state(path) as state, LocalSigner(path) as signer, pytest.raises(Corrupt):
            cycle(state, now=town.now + DAY, signer=signer)
    assert files(path, "public") == before


@pytest.mark.parametrize("missed", [long(1), 3])
def test_a_registry_that_was_put_back_is_refused_and_nothing_is_signed(
    town: Town, tmp_path: Path, missed: int
) -> None:
    path = town.copied(tmp_path)
    copies = []
    for n in range(3):
        copies.append(tmp_path / f"copy{n}")
        shutil.copy(path / "registry.sqlite", copies[n])
        turned(path, town.now + n * HOUR)
    before = files(path, "public", "signer")
    shutil.copy(copies[-missed], path / "registry.sqlite")
    for left in path.glob("registry.sqlite-*"):
        left.unlink()
    for _ in range(2):
        with open_state(path) as state, LocalSigner(path) as signer, pytest.raises(Corrupt):
            cycle(state, now=town.now + DAY, signer=signer)
    assert files(path, "public", "signer") == before


@pytest.mark.parametrize("missed", [long(1), 3])
def test_a_city_put_back_whole_does_not_begin_a_second_log(town: Town, tmp_path: Path, missed: int) -> None:
    """Registry, signer and releases agree with each other, and what is public is already further."""
    path = town.copied(tmp_path)
    copies = []
    for n in range(3):
        copies.append(tmp_path / f"copy{n}")
        shutil.copytree(path, copies[n])
        turned(path, town.now + n * HOUR)
    shutil.rmtree(copies[-missed] / "public")
    shutil.copytree(path / "public", copies[-missed] / "public")
    before = files(copies[-missed], "public", "signer")
    with open_state(copies[-missed]) as state, LocalSigner(copies[-missed]) as signer, pytest.raises(Corrupt):
        cycle(state, now=town.now + DAY, signer=signer)
    assert files(copies[-missed], "public", "signer") == before


def test_an_announcement_that_was_taken_back_is_made_again_and_changes_nothing(
    town: Town, tmp_path: Path
) -> None:
    """`publish` twice gives the same bytes: the release before the last one cannot come out differently either."""
    path = town.copied(tmp_path)
    turned(path, town.now)
    before = files(path, "public")
    with open_state(path) as state, LocalSigner(path) as signer:
        with state.registry.write() as on:
            on.execute(r.releases.update().where(r.releases.c.number == 4).values(announced=False))
        assert commit_module.recover(state, signer) == 1
    assert files(path, "public") == before


# what a crash must not leave behind ----------------------------------------------------------------------------------


def test_tables_that_a_crash_left_go_with_the_next_release(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say who met whom: of older releases only the turns may stay."""
    path = town.copied(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "drop_old_tables", lambda *_: None)
        for n in range(3):
            turned(path, town.now + n * MINUTE)
    turned(path, town.now + 3 * MINUTE)
    for folder in sorted((path / "releases").iterdir())[:-2]:
        assert sorted(f.name for f in folder.iterdir()) == ["proposal.json", "turns.parquet"], folder.name


def test_a_signer_that_could_not_be_opened_holds_no_lock(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    book = (path / "signer" / "book").read_bytes()
    (path / "signer" / "book").write_bytes(book[:-1])
    for _ in range(2):
        with pytest.raises(Corrupt):
            LocalSigner(path)
    (path / "signer" / "book").write_bytes(book)
    LocalSigner(path).close()


def test_a_city_whose_first_keys_were_never_finished_makes_them_anew(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    shutil.rmtree(path / "public")
    for left in (path / "signer").iterdir():
        if left.name != "keys":
            left.unlink()
    (path / "root" / "root-3.pem").write_bytes(b"")
    has_keys(path, now=town.now)
    LocalSigner(path).close()
