"""An older city is opened by this program: killed at any statement of the way it is what it was, or what it is to be; a
program that is older than the city changes nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from kangma.errors import Corrupt, Refused
from kangma.store import front_schema, migrations
from kangma.store.front import FrontStore, prepare
from kangma.store.registry import Registry, open_engine
from kangma.store.state import create, open_state

FORK = multiprocessing.get_context("fork")


def old_registry(path: Path) -> None:
    """Of the first schema, with a segment and a release in it."""
    engine = open_engine(path)
    config = Config()
    config.set_main_option("script_location", "kangma.store:migrations")
    with engine.begin() as on:
        config.attributes["connection"] = on
        command.upgrade(config, "0001")
        on.exec_driver_sql(
            "INSERT INTO segments (segment, kind, file, rows, bytes, digest, since) "
            "VALUES ('s', 'visits', 'f', 1, 1, 'd', 7)"
        )
        on.exec_driver_sql("INSERT INTO releases VALUES (1, 2, 3, 'p', '{}', 'v')")
    engine.dispose()


def columns(path: Path, table: str) -> set[str]:
    with closing(sqlite3.connect(path)) as on:
        return {row[1] for row in on.execute(f"PRAGMA table_info({table})")}


def said_by(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as on:
        return on.execute(query).fetchall()


def killed_at(n: int, work: Callable[[], None]) -> bool:
    """Whether the work came to its end before its n-th statement or, behind the last one, its commit."""

    def child() -> None:
        left = [n]

        def step(*_: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(sa.Engine, "before_cursor_execute", step)
        sa.event.listen(sa.Engine, "commit", step)
        work()
        os._exit(0)

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return process.exitcode == 0


def upgrade_the_registry(tmp_path: Path, every: int) -> int:
    """Killed at every so many-th statement; how many kills there were."""
    seen = set()
    old_registry(tmp_path / "old.sqlite")
    for n in range(0, 200, every):
        path = shutil.copy(tmp_path / "old.sqlite", tmp_path / f"{n}.sqlite")
        done = killed_at(n, lambda path=path: Registry(path).close())  # type: ignore[misc]
        version = said_by(path, "SELECT version_num FROM alembic_version")[0][0]
        assert version in ("0001", migrations.HEAD)
        assert ("newest" in columns(path, "segments")) == (version == migrations.HEAD)
        assert ("announced" in columns(path, "releases")) == (version == migrations.HEAD)
        seen.add(version)
        Registry(path).close()
        assert said_by(path, "SELECT since, newest FROM segments") == [(7, 7)]
        assert said_by(path, "SELECT number, tree_size, announced FROM releases") == [(1, None, 1)]
        if done:
            break
    assert done
    assert n > 5
    assert seen == {"0001", migrations.HEAD}
    return n


def old_front(folder: Path) -> None:
    """Of format 1: before there were clients."""
    folder.mkdir()
    FrontStore(folder).close()
    with closing(sqlite3.connect(folder / "front.sqlite")) as on, on:
        for table in ("agreements", "submissions", "assertions", "rides", "checks", "clients"):
            on.execute(f"DROP TABLE {table}")
        on.execute("DROP INDEX looks_at")
        on.execute("UPDATE settings SET value = ? WHERE name = 'format'", (b"1",))
        on.execute("INSERT INTO residents VALUES (1, 5, 'r', 3, NULL, 1, 9, NULL)")


def upgrade_the_front_door(tmp_path: Path, every: int) -> int:
    """The same."""
    seen = set()
    old_front(tmp_path / "old")
    for n in range(0, 200, every):
        folder = shutil.copytree(tmp_path / "old", tmp_path / str(n))
        done = killed_at(n, lambda folder=folder: FrontStore(folder).close())  # type: ignore[misc]
        file = folder / "front.sqlite"
        said = bytes(said_by(file, "SELECT value FROM settings WHERE name = 'format'")[0][0])  # type: ignore[call-overload]
        assert said in (b"1", front_schema.FORMAT.encode())
        assert bool(columns(file, "rides")) == (said != b"1")
        seen.add(said)
        with FrontStore(folder) as store:
            assert store.turns() == [(1, 3)]
        if done:
            break
    assert done
    assert len(seen) == 2
    return n


def test_an_upgrade_that_is_killed_is_what_it_was_or_what_it_is_to_be(tmp_path: Path) -> None:
    for work, every in ((upgrade_the_registry, 3), (upgrade_the_front_door, 9)):
        (tmp_path / work.__name__).mkdir()
        work(tmp_path / work.__name__, every)


@pytest.mark.prove
def test_an_upgrade_is_killed_at_every_statement(tmp_path: Path) -> None:
    for work in (upgrade_the_registry, upgrade_the_front_door):
        (tmp_path / work.__name__).mkdir()
        print(f"{work.__name__}: killed at each of {work(tmp_path / work.__name__, 1)} statements")


def test_an_older_program_leaves_a_newer_city_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    create(path).close()
    FrontStore(prepare(path)).close()
    before = {f: f.read_bytes() for f in path.rglob("*.sqlite")}
    monkeypatch.setattr(migrations, "HEAD", "0002")
    with pytest.raises(Refused, match="newer Kangma"):
        open_state(path)
    monkeypatch.setattr(front_schema, "FORMAT", "1")
    with pytest.raises(Corrupt, match="another format"):
        FrontStore(path / "front")
    assert {f: f.read_bytes() for f in path.rglob("*.sqlite")} == before
    monkeypatch.undo()
    (path / "KANGMA").write_text("kangma state 2\n")
    with pytest.raises(Refused, match="another version"):
        open_state(path)
