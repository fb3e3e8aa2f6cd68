"""Whatever kills an editor or a publisher, what the register acknowledged is there, and nothing is there in part."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from turns import Victim

from kangma.errors import Conflict
from kangma.incidents.form import from_json
from kangma.incidents.life import Role
from kangma.incidents.record import Record
from kangma.signing.keys import PublicKey
from kangma.store import register as register_module
from kangma.store.register import Register, create, open_register
from kangma.store.register_finder import Query
from kangma.translog.checkpoint import open_checkpoint
from kangma.translog.fsck import fsck

ROUNDS, LONG_ROUNDS = 6, 100
NOW = 1_700_000_000


def record(n: int, text: str) -> Record:
    return from_json(
        {
            "id": f"r{n}",
            "victim": {"name": f"System {n}"},
            "date": "2022-04-28",
            "summary": {"zh": text, "en": text},
            "sources": [{"title": "A report"}],
        }
    )


def work_for_ever(path: str, first: int, say: Connection, how: str) -> None:
    """Opens, edits, reviews and publishes records `first`, `first` + 1, …, and says (step, n) after each step."""
    with open_register(Path(path)) as register:
        ed, rob = register.member("ed"), register.member("rob")
        if how == "early":
            _acknowledge_too_early(register, say)
        say.send("ready")
        n = first
        while True:
            for step in ("new", "edit", "submit", "approve", "publish"):
                if how == "early":
                    say.send((step, n))
                match step:
                    case "new":
                        register.new(ed, record(n, "first"), now=NOW)
                    case "edit":
                        register.edit(ed, record(n, "second"), after_edit=1, now=NOW)
                    case "submit":
                        register.submit(ed, f"r{n}", now=NOW)
                    case "approve":
                        register.approve(rob, f"r{n}", edit=2, now=NOW)
                    case "publish":
                        register.publish(rob, f"r{n}", now=NOW)
                if how != "early":
                    say.send((step, n))
            n += 1


def _acknowledge_too_early(register: Register, say: Connection) -> None:
    """The control's fault: every step was said before the database had it; here the database is slow too."""
    finish = Register._finish

    def late(self: Register, ids: object) -> None:
        time.sleep(0.02)
        finish(self, ids)  # type: ignore[arg-type]

    register_module.Register._finish = late  # type: ignore[method-assign,assignment]


def killed(folder: Path, how: str, rounds: int, seed: int) -> tuple[int, list[tuple[str, int]]]:
    """(steps acknowledged, those of them that are not there) after so many kills."""
    chance = random.Random(seed)
    path = folder / "r"
    with create(
        path, title="T", base="https://r.example", administrator="ann", organisation="", now=NOW
    ) as made:
        ann = made.member("ann")
        made.add_account(ann, "ed", "", Role.EDITOR, now=NOW)
        made.add_account(ann, "rob", "", Role.REVIEWER, now=NOW)
        key = made.key
    said: list[tuple[str, int]] = []
    first = 0
    for _ in range(rounds):
        victim = Victim(work_for_ever, str(path), first, ..., how)
        victim.wait_for("ready")
        steps = chance.randrange(12)
        end = time.monotonic() + 60
        while sum(isinstance(w, tuple) for w in victim.said) < steps and time.monotonic() < end:
            victim.listen(0.002)
        victim.listen(chance.uniform(0.0, 0.03))
        victim.kill()
        said += [w for w in victim.said if isinstance(w, tuple)]
        first = max([first, *(n + 1 for _, n in said)]) + 1  # the one in work may be there or not
    return len(said), missing(path, said, key)


def missing(path: Path, said: list[tuple[str, int]], key: PublicKey) -> list[tuple[str, int]]:
    """Steps said and not there; and everything that is there holds: signatures, log, files, search."""
    lost = []
    with open_register(path) as register:
        versions = register.check()["versions"]
        folder = path / "public"
        checkpoint = open_checkpoint((folder / "checkpoint").read_bytes(), "r.example/incidents", key)
        assert fsck(lambda name: (folder / name).read_bytes(), checkpoint) is None
        assert checkpoint.size == versions
        assert register.find(Query(words="second"), None, now=NOW).total == versions
        ed = register.member("ed")
        for step, n in said:
            acts: list[str] = []
            with suppress(Exception):
                work = register.work(ed, f"r{n}", now=NOW)
                acts = [a.what.value.replace("open", "new") for a in work.acts]
            if step not in acts:
                lost.append((step, n))
            elif step == "publish":
                assert register.show(f"r{n}", None, now=NOW).entry.seen.record == record(n, "second")
    return lost


def test_an_editor_and_publisher_killed_at_random_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged, lost = killed(tmp_path, "right", ROUNDS, seed=3)
    assert lost == []
    assert acknowledged > 0


@pytest.mark.prove
def test_a_hundred_kills_of_the_register_lose_nothing(tmp_path: Path) -> None:
    acknowledged, lost = killed(tmp_path, "right", LONG_ROUNDS, seed=random.randrange(2**32))
    print(f"{LONG_ROUNDS} kills, {acknowledged} steps acknowledged, {len(lost)} lost")
    assert lost == []


def test_a_register_that_acknowledges_too_early_is_caught(tmp_path: Path) -> None:
    """The control: every step is said before it is done. The tests above would be worth nothing without it."""
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        if killed(folder, "early", 2, seed)[1]:
            return
    pytest.fail("sixteen kills found no loss in a register that loses")


def test_a_record_in_work_when_it_was_killed_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with create(
        path, title="T", base="https://r.example", administrator="ann", organisation="", now=NOW
    ) as made:
        ann = made.member("ann")
        made.add_account(ann, "ed", "", Role.EDITOR, now=NOW)
        made.add_account(ann, "rob", "", Role.REVIEWER, now=NOW)
    victim = Victim(work_for_ever, str(path), 0, ..., "right")
    victim.wait_for(("submit", 0))
    victim.kill()
    with open_register(path) as register:
        rob = register.member("rob")
        with suppress(Conflict):  # it may have got further before it died
            register.approve(rob, "r0", edit=2, now=NOW)
        with suppress(Conflict):
            register.publish(rob, "r0", now=NOW)
        assert register.show("r0", None, now=NOW).entry.version == 1
