"""Appeals against holds, and every step that was taken on one. `front/appeals.sqlite` in a state directory.

Nothing here changes a code. An appeal that is granted is granted by evidence (a clearance, a retraction) that goes
the way of all evidence; this file says who asked, who proposed, who agreed, and when. Words, the resident's and
the officers', are sealed by the vault's key and leave `WORDS_KEPT` after the appeal was closed; steps stay, and
are append-only.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Refused, Where
from kangma.store.registry import empty_journal
from kangma.store.sqlite_file import SqliteFile, settings_of
from kangma.store.vault import Vault
from kangma.terms import DAY, HOUR, Moment

FILE, FORMAT = "appeals.sqlite", "1"
ANSWERED_IN = 24 * HOUR  # the human answer
WORDS_KEPT = 28 * DAY  # after an appeal is closed
MOST_OPEN = 3  # of one person
MOST_IN_A_WHILE, A_WHILE = 10, 28 * DAY


class Why(StrEnum):
    """What a resident says is wrong. The list is closed."""

    NOT_ME = "not_me"  # it is about somebody else
    NOT_THERE = "not_there"  # I was not at that place at that time
    WRONG_RESULT = "wrong_result"  # the result is not right
    DONE = "done"  # what was asked is done
    WRONG_PLACE = "wrong_place"  # the address or area is not mine
    OTHER = "other"


class Stands(StrEnum):
    """The state of an appeal."""

    OPEN = "open"
    PROPOSED = "proposed"  # one officer decided; a second one has to agree
    GRANTED = "granted"
    DISMISSED = "dismissed"
    SETTLED = "settled"  # the hold ended by itself meanwhile
    WITHDRAWN = "withdrawn"


LIVE = (Stands.OPEN, Stands.PROPOSED)

_metadata = sa.MetaData()
_settings = settings_of(_metadata)
_appeals = sa.Table(
    "appeals",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # for officers; grows
    sa.Column("appeal", sa.String(16), nullable=False, unique=True),  # for the resident
    sa.Column("person", sa.BigInteger, nullable=False),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),  # of the hold: with the rule it names it
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("why", sa.String(16), nullable=False),
    sa.Column("machine", sa.String(16), nullable=False),  # what deriving it again gave at once: stands, gone
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("filed_at", sa.BigInteger, nullable=False),
    sa.Column("answer_by", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)
sa.Index("appeals_person", _appeals.c.person)
sa.Index("appeals_state", _appeals.c.state, _appeals.c.answer_by)
_steps = sa.Table(
    "steps",
    _metadata,
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, sa.ForeignKey("appeals.number"), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(16), nullable=False),  # resident, machine, officer
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("officer", sa.LargeBinary),  # the name, sealed
    sa.Column("document", sa.String(64)),  # the evidence that followed
)
sa.Index("steps_number", _steps.c.number)
#: filed: the resident's text and evidence. proposed: the decision as it was proposed last.
_words = sa.Table(
    "words",
    _metadata,
    sa.Column("number", sa.Integer, sa.ForeignKey("appeals.number"), primary_key=True),
    sa.Column("which", sa.String(16), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Step:
    at: Moment
    who: str
    what: str
    officer: str | None
    document: str | None


@dataclass(frozen=True, slots=True)
class Filed:
    """What a resident says. Cannot be printed."""

    text: str
    evidence: Mapping[str, str]

    def __repr__(self) -> str:
        return "Filed(sealed)"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an officer proposes. `correction`: kind `clearance` (with finding) or `retraction` (with document_id
    and source); empty for a dismissal. Cannot be printed."""

    grants: bool
    officer: str
    reason: str
    correction: Mapping[str, str]

    def __repr__(self) -> str:
        return "Decision(sealed)"


@dataclass(frozen=True, slots=True)
class Appeal:
    number: int
    appeal: str
    person: int
    rule: str
    since: Moment
    outcome: str
    why: Why
    machine: str
    state: Stands
    filed_at: Moment
    answer_by: Moment
    closed_at: Moment | None
    steps: tuple[Step, ...]
    filed: Filed | None  # None once the words are gone
    decision: Decision | None

    def late(self, now: Moment) -> bool:
        return self.state in LIVE and now > self.answer_by


class NoAppeal(Refused):
    def __init__(self) -> None:
        super().__init__(Code.NO_HOLD, Where(path="appeal"), "no appeal of this number")


class Appeals(SqliteFile):
    """Over `front/appeals.sqlite`. Threads may share one."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        """Opens or makes the file in `front/`. Corrupt for a format that this program cannot read."""
        self._vault = vault
        super().__init__(folder / FILE, _settings, {"format": FORMAT}, also=_append_only)

    # the resident ----------------------------------------------------------------------------------------------------

    def file(
        self,
        persons: Sequence[int],
        *,
        rule: str,
        since: Moment,
        outcome: str,
        why: Why,
        filed: Filed,
        machine: str,
        now: Moment,
    ) -> Appeal:
        """A new appeal of the person who has these numbers (the first is theirs now). Refused: already_open against the
        same hold; too_many_rows beyond `MOST_OPEN`, or `MOST_IN_A_WHILE` in four weeks."""
        c = _appeals.c
        with self.write() as on:
            mine = on.execute(sa.select(_appeals).where(c.person.in_(persons))).all()
            live = [x for x in mine if x.state in LIVE]
            if any((x.rule, x.since) == (rule, since) for x in live):
                raise Refused(Code.ALREADY_OPEN, hint="an appeal against this hold is open")
            if len(live) >= MOST_OPEN or sum(x.filed_at > now - A_WHILE for x in mine) >= MOST_IN_A_WHILE:
                raise Refused(
                    Code.TOO_MANY_ROWS, hint=f"at most {MOST_OPEN} open, {MOST_IN_A_WHILE} in four weeks"
                )
            done = on.execute(
                sa.insert(_appeals).values(
                    appeal=secrets.token_hex(8), person=persons[0], rule=rule, since=since, outcome=outcome, why=why,
                    machine=machine, state=Stands.OPEN, filed_at=now, answer_by=now + ANSWERED_IN,
                )
            )  # fmt: skip
            assert done.inserted_primary_key is not None
            number = int(done.inserted_primary_key[0])
            self._say(on, number, "filed", {"text": filed.text, "evidence": dict(filed.evidence)})
            self._step(on, number, now, "resident", "filed")
            self._step(on, number, now, "machine", machine)
        return self.get(number)

    def withdraw(self, persons: Sequence[int], appeal: str, *, now: Moment) -> None:
        """The resident takes it back. NoAppeal when it is none of theirs, or closed."""
        c = _appeals.c
        with self.write() as on:
            row = on.execute(
                sa.select(c.number).where(c.appeal == appeal, c.person.in_(persons), c.state.in_(LIVE))
            ).first()
            if row is None:
                raise NoAppeal
            self._close(on, row.number, Stands.WITHDRAWN, now)
            self._step(on, row.number, now, "resident", "withdrawn")

    def of(self, persons: Sequence[int]) -> list[Appeal]:
        """All of a person, the newest first."""
        return self._select(_appeals.c.person.in_(persons), newest=True)

    # officers --------------------------------------------------------------------------------------------------------

    def queue(self, *, everything: bool = False) -> list[Appeal]:
        """Open ones by their deadline; or all."""
        return self._select(sa.true() if everything else _appeals.c.state.in_(LIVE))

    def get(self, number: int) -> Appeal:
        found = self._select(_appeals.c.number == number)
        if not found:
            raise NoAppeal
        return found[0]

    def looked(self, number: int, officer: str, *, now: Moment) -> None:
        """An officer read it."""
        with self.write() as on:
            self._step(on, number, now, "officer", "looked", officer)

    def propose(self, number: int, decision: Decision, *, now: Moment) -> Appeal:
        """One officer's decision; it does nothing until a second one agrees. Refused unless the appeal waits for one."""
        with self.write() as on:
            self._must(on, number, Stands.OPEN)
            said = {
                "grants": decision.grants,
                "officer": decision.officer,
                "reason": decision.reason,
                "correction": dict(decision.correction),
            }
            self._say(on, number, "proposed", said)
            self._state(on, number, Stands.PROPOSED)
            self._step(on, number, now, "officer", "proposed", decision.officer)
        return self.get(number)

    def must_be_proposed(self, number: int, second: str) -> tuple[Appeal, Decision]:
        """The appeal and the decision to which a second officer may agree. Refused (same_officer) for the one who
        proposed."""
        appeal = self.get(number)
        if appeal.state is not Stands.PROPOSED or appeal.decision is None:
            raise Refused(
                Code.BAD_VALUE, Where(path="appeal"), f"it is {appeal.state}, and nothing is proposed"
            )
        if _plain(second) == _plain(appeal.decision.officer):
            raise Refused(Code.SAME_OFFICER, hint="a second officer must agree")
        return appeal, appeal.decision

    def agreed(self, number: int, second: str, *, document: str | None, now: Moment) -> Appeal:
        """A second officer agreed, and the evidence that follows (`document`) is durable already."""
        appeal, decision = self.must_be_proposed(number, second)
        state = Stands.GRANTED if decision.grants else Stands.DISMISSED
        with self.write() as on:
            self._must(on, number, Stands.PROPOSED)
            self._close(on, number, state, now)
            self._step(on, number, now, "officer", state, second, document)
        return self.get(appeal.number)

    def returned(self, number: int, second: str, *, now: Moment) -> Appeal:
        """A second officer does not agree: it is open again."""
        self.must_be_proposed(number, second)
        with self.write() as on:
            self._must(on, number, Stands.PROPOSED)
            self._state(on, number, Stands.OPEN)
            self._step(on, number, now, "officer", "returned", second)
        return self.get(number)

    def settle(self, number: int, *, now: Moment) -> None:
        """The hold ended by itself."""
        with self.write() as on:
            state = on.execute(sa.select(_appeals.c.state).where(_appeals.c.number == number)).scalar()
            if state in LIVE:
                self._close(on, number, Stands.SETTLED, now)
                self._step(on, number, now, "machine", "settled")

    def late(self, *, now: Moment) -> int:
        """How many wait beyond their deadline."""
        c = _appeals.c
        with self.read() as on:
            query = sa.select(sa.func.count()).where(c.state.in_(LIVE), c.answer_by < now)
            return int(on.execute(query).scalar_one())

    def forget(self, *, now: Moment) -> int:
        """Words of appeals that were closed long enough ago are gone from the file and its journal; how many appeals."""
        c = _appeals.c
        gone = sa.select(c.number).where(c.closed_at < now - WORDS_KEPT)
        with self.write() as on:
            done = on.execute(sa.delete(_words).where(_words.c.number.in_(gone)))
        if done.rowcount:
            empty_journal(self._engine)
        return done.rowcount

    # within ----------------------------------------------------------------------------------------------------------

    def _must(self, on: sa.Connection, number: int, state: Stands) -> None:
        said = on.execute(sa.select(_appeals.c.state).where(_appeals.c.number == number)).scalar()
        if said is None:
            raise NoAppeal
        if said != state:
            raise Refused(Code.BAD_VALUE, Where(path="appeal"), f"it is {said}, not {state}")

    def _state(self, on: sa.Connection, number: int, state: Stands) -> None:
        on.execute(sa.update(_appeals).where(_appeals.c.number == number).values(state=state))

    def _close(self, on: sa.Connection, number: int, state: Stands, now: Moment) -> None:
        on.execute(sa.update(_appeals).where(_appeals.c.number == number).values(state=state, closed_at=now))

    def _step(
        self, on: sa.Connection, number: int, at: Moment, who: str, what: str, officer: str | None = None,
        document: str | None = None,
    ) -> None:  # fmt: skip
        sealed = None if officer is None else self._vault.seal(_about(number, "officer"), officer.encode())
        on.execute(
            sa.insert(_steps).values(
                number=number, at=at, who=who, what=what, officer=sealed, document=document
            )
        )

    def _step_of(self, row: sa.Row[Any]) -> Step:
        about = _about(row.number, "officer")
        officer = None if row.officer is None else self._vault.unseal(about, bytes(row.officer)).decode()
        return Step(row.at, row.who, row.what, officer and officer.rstrip(" "), row.document)

    def _say(self, on: sa.Connection, number: int, which: str, what: Mapping[str, Any]) -> None:
        sealed = self._vault.seal(_about(number, which), json.dumps(what, ensure_ascii=False).encode())
        c = _words.c
        on.execute(sa.delete(_words).where(c.number == number, c.which == which))
        on.execute(sa.insert(_words).values(number=number, which=which, sealed=sealed))

    def _select(self, where: Any, *, newest: bool = False) -> list[Appeal]:
        order = (_appeals.c.number.desc(),) if newest else (_appeals.c.answer_by, _appeals.c.number)
        with self.read() as on:
            rows = on.execute(sa.select(_appeals).where(where).order_by(*order)).all()
            numbers = [x.number for x in rows]
            steps: dict[int, list[Step]] = {n: [] for n in numbers}
            words: dict[tuple[int, str], dict[str, Any]] = {}
            for i in range(0, len(numbers), 500):
                some = numbers[i : i + 500]
                for s in on.execute(
                    sa.select(_steps).where(_steps.c.number.in_(some)).order_by(_steps.c.step)
                ):
                    steps[s.number].append(self._step_of(s))
                for w in on.execute(sa.select(_words).where(_words.c.number.in_(some))):
                    plain = self._vault.unseal(_about(w.number, w.which), bytes(w.sealed))
                    words[w.number, w.which] = json.loads(plain)
        return [
            Appeal(
                x.number, x.appeal, x.person, x.rule, x.since, x.outcome, Why(x.why), x.machine, Stands(x.state),
                x.filed_at, x.answer_by, x.closed_at, tuple(steps[x.number]),
                Filed(**words[x.number, "filed"]) if (x.number, "filed") in words else None,
                Decision(**words[x.number, "proposed"]) if (x.number, "proposed") in words else None,
            )
            for x in rows
        ]  # fmt: skip


def _append_only(on: sa.Connection) -> None:
    for what in ("UPDATE", "DELETE"):
        on.exec_driver_sql(
            f"CREATE TRIGGER steps_no_{what.lower()} BEFORE {what} ON steps "
            "BEGIN SELECT RAISE(ABORT, 'steps is append-only'); END"
        )


def _about(number: int, which: str) -> bytes:
    return f"kangma appeal {number} {which}".encode()


def _plain(officer: str) -> str:
    return "".join(officer.casefold().split())
