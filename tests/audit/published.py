"""A small city that publishes, made once: five days of 400 invented residents, six releases, and one code on paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from kangma.audit.public import Folder, Seen, audit_public
from kangma.audit.report import Report
from kangma.audit.whole import audit
from kangma.city import make_city
from kangma.policy.published import read
from kangma.publish.city import CityName, name_city, the_signer
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import cycle
from kangma.publish.release import read_table
from kangma.signing.keys import Environment
from kangma.store.receive import receive_all
from kangma.store.releases import last_release
from kangma.store.state import State, create, open_state
from kangma.terms import DAY, HOUR, Moment, Text, zone

CITY = CityName(
    "cn-demo",
    Text("示例市", "Demo City"),
    "https://kangma.example",
    "kangma.example/demo",
    Environment.DEVELOPMENT,
    "Asia/Shanghai",
)
HERE = zone(CITY.zone)
DAYS = 5


@dataclass(frozen=True)
class Town:
    """`path` holds the state as it stands; `before` a copy as it was a release earlier."""

    path: Path
    before: Path
    now: Moment
    paper: bytes  # of person number `whose`
    whose: int
    turns: int

    def copied(self, folder: Path, *, of: Path | None = None) -> Path:
        """A copy that a test may spoil."""
        to = folder / "state"
        shutil.copytree(of or self.path, to)
        return to


def make_town(folder: Path, *, residents: int = 400, days: int = DAYS, seed: int = 3) -> Town:
    city, path, turns = make_city(residents, days, seed), folder / "state", 0
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")], now=city.zero) as state:
        name_city(path, CITY)
        with the_signer(path, now=city.zero) as signer:
            assert signer is not None
            for day in range(days):
                tables = folder / f"day{day}"
                tables.mkdir()
                for kind, rows in city.arrivals(day).items():
                    pq.write_table(rows, tables / f"{kind}.parquet")
                now = city.zero + (day + 1) * DAY
                for receipt in receive_all(state, [tables], feed="city", now=now):
                    assert receipt.code is None
                turns += cycle(state, now=now, signer=signer).turns.num_rows
            whose = coloured(state, 4)
            paper = on_paper(state, signer, whose, today=HERE.day(now), now=now)
            state.close()
            shutil.copytree(path, folder / "before")
    with open_state(path) as state, the_signer(path, now=now) as signer:
        now += HOUR
        turns += cycle(state, now=now, signer=signer).turns.num_rows
    return Town(path, folder / "before", now, paper, whose, turns)


def coloured(state: State, colour: int) -> int:
    """The first person whose state is `colour` in the last release."""
    out = read_table(state, last_release(state.registry), "out")
    return next(r["person"] for r in out.to_pylist() if r["state"] == colour)


def audited(path: Path, *, seen: Seen | None = None) -> Report:
    """What the auditor with the evidence says of a state."""
    report = Report()
    with open_state(path) as state:
        audit(state, report, seen=seen or Seen())
    return report


def seen_by_a_stranger(public: Path, *, seen: Seen | None = None) -> tuple[Report, Seen]:
    """What a stranger says of a public folder, and what they remember."""
    report = Report()
    found = audit_public(Folder.at(str(public)), report, seen=seen or Seen())
    return report, found.seen


@contextmanager
def turned(file: Path, at: int, by: int = 1) -> Iterator[None]:
    """One byte of a file is another one for a while."""
    content = file.read_bytes()
    file.write_bytes(content[:at] + bytes([content[at] ^ by]) + content[at + 1 :])
    try:
        yield
    finally:
        file.write_bytes(content)
