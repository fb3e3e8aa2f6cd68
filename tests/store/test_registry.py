"""The registry: one schema however it came about, durable settings, one writer."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from kangma.errors import Code, Conflict, Refused
from kangma.store import migrations, releases
from kangma.store import registry as r
from kangma.store.registry import Registry
from kangma.store.state import State

POLICY = b"""
format = 1
id = "demo"
version = "1"
effective_from = 2022-04-22T00:00:00+08:00
"""


def test_the_migrations_lead_to_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.sqlite")
    with registry.read() as on:
        assert compare_metadata(MigrationContext.configure(on), r.metadata) == []
        checks = {
            c["name"] for t in r.metadata.tables for c in sa.inspect(on).get_check_constraints(t) if c["name"]
        }
    # autogenerate does not look at these
    wanted = {
        c.name
        for t in r.metadata.tables.values()
        for c in t.constraints
        if isinstance(c, sa.CheckConstraint) and c.name
    }
    assert checks == wanted
    registry.close()


def test_the_newest_migration_is_the_one_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", "kangma.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_every_table_can_be_made_in_postgresql() -> None:
    for table in r.metadata.tables.values():
        text = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "DATETIME" not in text


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.sqlite")
    with registry.read() as on:
        settings = {
            p: on.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert settings == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}
    registry.close()


def test_the_database_itself_keeps_the_counts_of_a_receipt(state: State) -> None:
    values = {"receipt": 1, "kind": "tests", "feed": "f", "file_digest": "", "codes": "{}"}
    wrong = {"received": 3, "accepted": 1, "duplicate": 0, "refused": 1, "quarantined": 0}
    with pytest.raises(sa.exc.IntegrityError), state.registry.write() as on:
        on.execute(sa.insert(r.receipts).values(**values, **wrong))


def test_a_second_cycle_waits_until_the_first_lease_has_run_out(state: State) -> None:
    first = releases.acquire(state.registry, "cycle", "one", now=1000, seconds=60)
    with pytest.raises(Conflict):
        releases.acquire(state.registry, "cycle", "two", now=1059)
    first = releases.renew(state.registry, first, now=1050, seconds=60)
    with pytest.raises(Conflict):
        releases.acquire(state.registry, "cycle", "two", now=1109)
    second = releases.acquire(state.registry, "cycle", "two", now=1110)
    assert second.term > first.term
    with pytest.raises(Conflict):
        releases.renew(state.registry, first, now=1111)
    releases.release(state.registry, first)  # too late to matter
    with pytest.raises(Conflict):
        releases.acquire(state.registry, "cycle", "three", now=1111)


def test_a_cycle_that_lost_its_lease_records_no_release(state: State) -> None:
    first = releases.Release(1, 21, 1, "p", {"red": 1}, "v", releases.Head(7, bytes(32)), announced=False)
    old = releases.acquire(state.registry, "cycle", "one", now=0, seconds=10)
    new = releases.acquire(state.registry, "cycle", "two", now=20)
    with pytest.raises(Conflict):
        releases.record_release(state.registry, old, first, upon=None)
    assert releases.last_release(state.registry) is None
    releases.record_release(state.registry, new, first, upon=None)
    assert releases.last_release(state.registry) == first
    with pytest.raises(Conflict):  # its number is taken
        releases.record_release(state.registry, new, first, upon=first.head)
    releases.release(state.registry, new)
    assert releases.acquire(state.registry, "cycle", "three", now=23).term == new.term + 1


def test_a_release_upon_another_log_is_not_recorded(state: State) -> None:
    """Two that begin with the same release: the first one to record wins, the other reads again."""
    lease = releases.acquire(state.registry, "cycle", "one", now=0)
    one = releases.Release(1, 21, 1, "p", {}, "v", releases.Head(7, bytes(32)), announced=False)
    releases.record_release(state.registry, lease, one, upon=None)
    two = releases.Release(2, 22, 1, "p", {}, "v", releases.Head(9, bytes(32)), announced=False)
    for elsewhere in (None, releases.Head(6, bytes(32)), releases.Head(7, b"1" * 32)):
        with pytest.raises(Conflict):
            releases.record_release(state.registry, lease, two, upon=elsewhere)
    releases.record_release(state.registry, lease, two, upon=one.head)
    assert [r.number for r in releases.releases(state.registry, unannounced=True)] == [1, 2]
    releases.record_announced(state.registry, 2)
    assert releases.releases(state.registry, unannounced=True) == []


def test_a_published_version_of_a_policy_never_changes(state: State) -> None:
    state.publish_policy(POLICY)
    state.publish_policy(POLICY)
    assert [(p.id, p.version, p.effective_from) for p in state.policies()] == [("demo", "1", 1650556800)]
    with pytest.raises(Conflict):
        state.publish_policy(POLICY + b'title = "another"\n')
    with pytest.raises(Refused) as refused:
        state.publish_policy(b'id = "demo"')
    assert refused.value.code is Code.BAD_POLICY
