"""The register of incidents on one machine: drafts, versions, members, and finding. Stands by itself in a folder.

    register.sqlite   everything that counts (WAL, synchronous=FULL; see `register_schema`)
    keys/register.key the seed of the key that signs versions and checkpoints, its owner's only
    public/           the transparency log as files: checkpoint, tile/…

A call that returned is durable, through a power cut; one that raised changed nothing that anybody sees. Publishing is
stage → log → apply: `open_register` finishes what a crash left between the three. Conflict: read again, then decide
again. Clock and callers are arguments; nothing here asks who is at the keyboard.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Conflict, Corrupt, Refused, Unavailable, Where
from kangma.incidents import canonical, duplicates, finding, statement
from kangma.incidents.difference import Change as Difference
from kangma.incidents.difference import difference
from kangma.incidents.exchange.report import About, Entry, Taken
from kangma.incidents.form import BadRecord, Fault, complete, decode, encode, from_json
from kangma.incidents.levels import seen_by
from kangma.incidents.life import (
    NEEDS,
    RIGHTS,
    Act,
    Change,
    Happening,
    Right,
    Role,
    State,
    after,
    approve,
    require,
)
from kangma.incidents.record import Record
from kangma.incidents.signal import Signal, draft_of
from kangma.incidents.statement import Log, Statement
from kangma.incidents.words import Words, tidy
from kangma.signing.keys import Algorithm, Environment, KeySigner, PublicKey, Signer
from kangma.store import register_schema as db
from kangma.store.durable import require_empty
from kangma.store.keys import make_key, make_key_folder, read_key
from kangma.store.register_finder import NEVER, Finder, Page, Query, Sort, Timeline
from kangma.store.register_log import OwnLog
from kangma.store.register_members import FOUNDING, MACHINE, Members, happened
from kangma.store.registry import as_ours, open_engine
from kangma.terms import Moment, day_number
from kangma.translog.log import Log as Tree

MOST_PICTURE = 4 * 2**20
MOST_SOURCES = 20  # addresses of a record's sources that are looked for in others
MOST_TOLD = 100  # edits of one draft by machine
MOST_ALIKE = 200  # opened drafts of one import that are held against the others
LEAST_ROOM = 64 * 2**20  # bytes free below which a register says that it is not ready
_MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}


@dataclass(frozen=True, slots=True)
class Caller:
    """A member at work: an account with the rights of its role, or of a token's scopes where those are fewer.

    `program`: by a token. What makes new ways in, passkeys and further tokens, is for the member in person.
    """

    account: str
    organisation: str
    role: Role
    rights: frozenset[Right]
    program: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """One act in a record's life."""

    what: Act
    account: str
    at: Moment
    edit: int
    note: str


@dataclass(frozen=True, slots=True)
class Work:
    """A record as its editors see it: the newest edit, where its work stands, and how it got there."""

    record: Record
    state: State
    edit: int
    version: int  # newest published, 0 for none
    change: Change
    reason: Words
    authors: frozenset[str]  # of the open work
    acts: tuple[Done, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a record's work stands: its state, its newest edit, what that lacks before it may be reviewed, and the newest
    published version, 0 for none."""

    state: State
    edit: int
    lacking: tuple[Fault, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Version:
    """A published version as one viewer sees it. `salt` for members only: with it `signed` binds all of the record."""

    entry: Entry
    change: Change
    reason: Words
    statement: Statement
    signed: bytes
    log_index: int
    salt: bytes | None
    versions: int  # how many there are


@dataclass(frozen=True, slots=True)
class Published:
    """One published version, without what it says: what everybody may know of every version."""

    version: int
    change: Change
    reason: Words
    at: Moment
    log_index: int


class NoRecord(Refused):
    """There is none, or none for this viewer: the same for a draft and for an id that nobody ever used."""

    def __init__(self, path: str = "id", hint: str = "no such record") -> None:
        super().__init__(Code.BAD_VALUE, Where(path=path), hint)

    def __reduce__(self) -> tuple[type[NoRecord], tuple[str, str]]:  # type: ignore[override]  # pickle takes any tuple
        return (NoRecord, (self.where.path or "", self.hint))


class Outdated(Conflict):
    """Somebody saved since: `difference` from what the editor began with to what is there now, `edit` its number.
    What the editor sent is not lost: it was not taken, and they still have it."""

    def __init__(self, edit: int, changes: tuple[Difference, ...]) -> None:
        self.edit, self.difference = edit, changes
        paths = ", ".join(dict.fromkeys(c.path.partition("[")[0] for c in changes)) or "nothing"
        super().__init__(f"somebody saved edit {edit} since; changed there: {paths}")


def create(
    path: Path,
    *,
    title: str,
    base: str,
    administrator: str,
    organisation: str,
    now: Moment,
    title_zh: str = "",
    environment: Environment = Environment.PRODUCTION,
) -> Register:
    """A new register in an empty or absent folder, with one administrator. Conflict when the folder holds something.

    `base` is the address under which it will be read (`https://…`); the log's origin is `base` without its scheme.
    `title_zh`: what it is called in Chinese, where that is not `title`.
    """
    about = About(tidy(title, 200), base.rstrip("/"), tidy(title_zh, 200))
    try:
        from_json({"id": "base", "sources": [{"url": about.base}]})
    except BadRecord:
        raise Refused(Code.BAD_VALUE, Where(path="base"), "an http or https address") from None
    name = _account_name(administrator)
    require_empty(path)
    path.mkdir(parents=True, exist_ok=True)
    make_key_folder(path / "keys")
    make_key(path / "keys" / "register.key")
    (path / "public").mkdir()
    engine = open_engine(path / "register.sqlite")
    origin = f"{about.base.partition('://')[2]}/incidents"
    with as_ours(), engine.begin() as on:
        db.make(on)
        values = {
            "format": db.FORMAT.encode(), "title": about.title.encode(), "base": about.base.encode(),
            "origin": origin.encode(), "environment": environment.value.encode(), "log": Tree.EMPTY.to_bytes(),
            "title_zh": about.title_zh.encode(), "ceremonies": secrets.token_bytes(32),
        }  # fmt: skip
        on.execute(sa.insert(db.settings), [{"name": k, "value": v} for k, v in values.items()])
        for account, where, role in (
            (name, tidy(organisation, 200), Role.ADMINISTRATOR),
            (FOUNDING, "Kangma", Role.EDITOR),
        ):
            on.execute(
                sa.insert(db.accounts).values(
                    account=account, organisation=where, role=role.value, made_by=name, made_at=now
                )
            )
    engine.dispose()
    (path / "register.sqlite").chmod(0o600)
    return open_register(path)


def open_register(path: Path, *, signer: Signer | None = None, log: Log | None = None) -> Register:
    """The register in a folder. Without `signer` and `log` it signs with its own key and keeps its own log.

    Refused (unreadable) when there is none. What a crash left half published is finished first.
    """
    if not (path / "register.sqlite").is_file():
        raise Refused(Code.UNREADABLE, Where(file=path.name), "no register: `kangma incident init` makes one")
    register = Register(path, signer, log)
    register.recover()
    return register


def on_the_shelf(
    record: Record, version: int, *, first_at: Moment, at: Moment, withdrawn: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """(the row of `shelf`, word index → tokens): all that finding needs of a version, for either audience."""
    shelved: dict[str, Any] = {"id": record.id, "at": at}
    words: dict[str, str] = {}
    for audience, member in (("public", False), ("member", True)):
        seen = seen_by(record, member=member)
        prefix = "member_" if member else ""
        date = seen.record.date
        shelved[f"{prefix}first_day"] = day_number(date.first) if date else NEVER
        shelved[f"{prefix}last_day"] = day_number(date.last) if date else NEVER
        shelved[f"{audience}_facets"] = canonical.dumps(finding.facets(seen)).decode()
        shelved[f"{audience}_card"] = canonical.dumps(
            finding.card(seen, version=version, withdrawn=withdrawn, published=first_at, modified=at)
        )
        words[f"words_{audience}"] = finding.tokens(finding.text_of(seen.record))
    return shelved, words


def _account_name(name: str) -> str:
    made = tidy(name, 64)
    if not made or made in (FOUNDING, MACHINE):
        raise Refused(Code.BAD_VALUE, Where(path="account"), "a name of its own, at most 64 characters")
    return made


class Register:
    """See the module. Made by `create` and `open_register`. Safe for threads and for several programs at once."""

    def __init__(self, path: Path, signer: Signer | None, log: Log | None) -> None:
        self.path = path
        self._engine = open_engine(path / "register.sqlite")
        self._reading = self._engine.execution_options(writes=False)
        values = self._settings()
        if values.get("format") != db.FORMAT.encode():
            with self._write() as on:  # read again inside: two programs may open an old register at once
                found = on.execute(
                    sa.select(db.settings.c.value).where(db.settings.c.name == "format")
                ).scalar()
                if not db.migrate(on, bytes(found or b"").decode("ascii", "replace")):
                    raise Refused(Code.UNREADABLE, hint="a register of another version of Kangma")
            values = self._settings()
        self.about = About(
            values["title"].decode(),
            values["base"].decode(),
            values.get("title_zh", b"").decode(),  # a register that was made before there was one has none
        )
        if signer is None:
            secret = read_key(path / "keys" / "register.key")
            signer = KeySigner(Algorithm.EDDSA, secret, Environment(values["environment"].decode()))
        self._signer = signer
        own = (
            OwnLog(self._write, self._read, path / "public", values["origin"].decode(), signer)
            if log is None
            else None
        )
        self._own = own
        self._log: Log = own if own is not None else log  # type: ignore[assignment]  # OwnLog or what was given: never None here
        self._finders = {member: Finder(member=member) for member in (False, True)}
        self.members = Members(self._write, self._read, values["ceremonies"])

    @property
    def key(self) -> PublicKey:
        """What verifies this register's statements."""
        return self._signer.public

    @property
    def origin(self) -> str:
        """The name of the log that its versions stand in."""
        return self._log.origin

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Register:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settings(self) -> dict[str, bytes]:
        with self._read() as on:
            return {n: bytes(v) for n, v in on.execute(sa.select(db.settings.c.name, db.settings.c.value))}

    @contextlib.contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with as_ours(), self._engine.begin() as on:
            yield on

    @contextlib.contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with as_ours(), self._reading.begin() as on:
            yield on

    # Members

    def member(self, account: str) -> Caller:
        """The account as somebody on this machine uses it. Refused (not_allowed) when there is none or it is closed."""
        with self._read() as on:
            row = on.execute(sa.select(db.accounts).where(db.accounts.c.account == account)).first()
        if row is None or row.closed_at is not None:
            raise Refused(Code.NOT_ALLOWED, hint="no such account")
        role = Role(row.role)
        return Caller(row.account, row.organisation, role, RIGHTS[role])

    def bearer(self, token: str, *, now: Moment) -> Caller:
        """Whoever holds an API token. Refused (not_allowed), the same for unknown, closed and expired ones."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        with self._read() as on:
            row = on.execute(sa.select(db.tokens).where(db.tokens.c.digest == digest)).first()
        if (
            row is None
            or row.closed_at is not None
            or row.expires_at <= now
            or not hmac.compare_digest(row.digest, digest)
        ):
            raise Refused(Code.NOT_ALLOWED, hint="no such token")
        holder = self.member(row.account)
        scopes = frozenset(Right(s) for s in json.loads(row.scopes))
        return Caller(holder.account, holder.organisation, holder.role, holder.rights & scopes, program=True)

    def add_account(self, by: Caller, account: str, organisation: str, role: Role, *, now: Moment) -> None:
        """Conflict when the name is taken, also by a closed account."""
        require(Right.ACCOUNTS, by.rights)
        name = _account_name(account)
        with self._write() as on:
            if on.execute(sa.select(db.accounts.c.account).where(db.accounts.c.account == name)).first():
                raise Conflict("an account of this name exists")
            on.execute(
                sa.insert(db.accounts).values(
                    account=name,
                    organisation=tidy(organisation, 200),
                    role=role.value,
                    made_by=by.account,
                    made_at=now,
                )
            )
            happened(on, name, Happening.MADE, by.account, now)
            if role is Role.ADMINISTRATOR:
                others = sa.select(db.accounts.c.account).where(
                    db.accounts.c.role == role.value,
                    db.accounts.c.account != name,
                    db.accounts.c.closed_at.is_(None),
                )
                for other in on.execute(others).scalars().all():
                    happened(on, other, Happening.ADMINISTRATOR_MADE, by.account, now, name)

    def close_account(self, by: Caller, account: str, *, now: Moment) -> None:
        """The account, its tokens, passkeys and sessions are no longer accepted; what it did stays under its name. Tokens
        that it made for other accounts end with it, and so do unused invitations by it: whoever is sent away takes no
        way in along. Conflict for the last administrator: nobody could make another."""
        require(Right.ACCOUNTS, by.rights)
        with self._write() as on:
            administrators = sa.select(db.accounts.c.account).where(
                db.accounts.c.role == Role.ADMINISTRATOR.value, db.accounts.c.closed_at.is_(None)
            )
            if list(on.execute(administrators).scalars()) == [account]:
                raise Conflict("the last administrator stays: make another first")
            ended = on.execute(
                sa.update(db.accounts)
                .where(db.accounts.c.account == account, db.accounts.c.closed_at.is_(None))
                .values(closed_at=now)
            ).rowcount
            if ended:
                happened(on, account, Happening.CLOSED, by.account, now)
                self.members.closed(on, account, by.account, now)

    def accounts(self, by: Caller) -> list[dict[str, Any]]:
        require(Right.ACCOUNTS, by.rights)
        with self._read() as on:
            return [
                dict(r._mapping) for r in on.execute(sa.select(db.accounts).order_by(db.accounts.c.account))
            ]

    def make_token(
        self, by: Caller, account: str, scopes: Collection[Right], *, now: Moment, expires_at: Moment
    ) -> tuple[str, str]:
        """(its public name, the token). The token is shown this once: only its digest is kept. It never allows more than
        its maker may. An account makes its own, in person; an administrator one for another account that may signal
        and nothing else: whoever holds a token acts in its account's name, and nobody approves for somebody else."""
        holder = self.member(account)
        if by.program:
            raise Refused(Code.NOT_ALLOWED, hint="a token makes no token")
        if by.account != account:
            require(Right.ACCOUNTS, by.rights)
            if not set(scopes) <= {Right.SIGNAL}:
                raise Refused(Code.NOT_ALLOWED, hint="a token in somebody else's name may only signal")
        for right in scopes:
            require(right, by.rights & holder.rights)
        name, secret = secrets.token_hex(8), f"kmi_{secrets.token_urlsafe(32)}"
        with self._write() as on:
            on.execute(
                sa.insert(db.tokens).values(
                    token=name, digest=hashlib.sha256(secret.encode()).hexdigest(), account=account,
                    scopes=json.dumps(sorted(scopes)), made_at=now, expires_at=expires_at, made_by=by.account,
                )
            )  # fmt: skip
            happened(on, account, Happening.TOKEN_MADE, by.account, now, name)
        return name, secret

    def close_token(self, by: Caller, token: str, *, now: Moment) -> None:
        with self._write() as on:
            row = on.execute(sa.select(db.tokens.c.account).where(db.tokens.c.token == token)).first()
            if row is None or row.account != by.account:
                require(Right.ACCOUNTS, by.rights)
            still = sa.and_(db.tokens.c.token == token, db.tokens.c.closed_at.is_(None))
            if (
                row is not None
                and on.execute(sa.update(db.tokens).where(still).values(closed_at=now)).rowcount
            ):
                happened(on, row.account, Happening.TOKEN_CLOSED, by.account, now, token)

    def tokens(self, by: Caller) -> list[dict[str, Any]]:
        """One's own API tokens, an administrator's view everybody's: name, account, scopes, times, and who made it (""
        for those from before that was kept); never a secret."""
        columns = [c for c in db.tokens.c if c.name != "digest"]
        found = sa.select(*columns).order_by(db.tokens.c.made_at, db.tokens.c.token)
        if Right.ACCOUNTS not in by.rights:
            found = found.where(db.tokens.c.account == by.account)
        with self._read() as on:
            rows = [dict(r._mapping) for r in on.execute(found)]
        return [{**row, "scopes": json.loads(row["scopes"])} for row in rows]

    def looks(
        self, by: Caller, *, account: str = "", before: int | None = None, most: int = 10_000
    ) -> list[dict[str, Any]]:
        """Who looked at what only members see, latest first: of one account where it is named, before that look where one
        is. For administrators; anybody's own for themselves."""
        if account != by.account:
            require(Right.ACCOUNTS, by.rights)
        found = sa.select(db.looks).order_by(db.looks.c.look.desc()).limit(most)
        if account:
            found = found.where(db.looks.c.account == account)
        if before is not None:
            found = found.where(db.looks.c.look < before)
        with self._read() as on:
            return [dict(r._mapping) for r in on.execute(found)]

    def history_of(self, by: Caller, account: str) -> list[dict[str, Any]]:
        """What happened to an account, latest first: its own, or for administrators anybody's."""
        if account != by.account:
            require(Right.ACCOUNTS, by.rights)
        return self.members.history(account)

    def _look(self, by: Caller, what: str, id: str, records: int, now: Moment) -> None:
        with self._write() as on:
            on.execute(
                sa.insert(db.looks).values(account=by.account, at=now, what=what, id=id, records=records)
            )

    # Work

    def new(self, by: Caller, record: Record, *, now: Moment, origin: str = "") -> int:
        """Opens a draft; its edit number is 1. Conflict when the id is taken."""
        require(NEEDS[Act.OPEN], by.rights)
        with self._write() as on:
            self._open(on, by.account, record, now, origin)
        return 1

    def _open(self, on: sa.Connection, account: str, record: Record, now: Moment, origin: str) -> None:
        if on.execute(sa.select(db.records.c.id).where(db.records.c.id == record.id)).first():
            raise Conflict("there is a record with this id")
        on.execute(
            sa.insert(db.records).values(id=record.id, opened_at=now, opened_by=account, origin=origin)
        )
        on.execute(
            sa.insert(db.heads).values(
                id=record.id,
                state=State.DRAFT.value,
                edit=1,
                version=0,
                change=Change.FIRST.value,
                reason="{}",
            )
        )
        self._save(on, record, 1, 0, account, now)
        self._act(on, record.id, Act.OPEN, account, now, 1, origin)

    def _save(
        self, on: sa.Connection, record: Record, edit: int, version: int, account: str, now: Moment
    ) -> None:
        on.execute(
            sa.insert(db.edits).values(
                id=record.id, edit=edit, after=version, account=account, at=now, document=encode(record)
            )
        )

    def _act(
        self, on: sa.Connection, id: str, act: Act, account: str, now: Moment, edit: int, note: str = ""
    ) -> None:
        on.execute(
            sa.insert(db.acts).values(id=id, what=act.value, account=account, at=now, edit=edit, note=note)
        )

    def _head(self, on: sa.Connection, id: str) -> Any:
        row = on.execute(sa.select(db.heads).where(db.heads.c.id == id)).first()
        if row is None:
            raise NoRecord()
        return row

    def _document(self, on: sa.Connection, id: str, edit: int) -> Record:
        if not 0 < edit < 2**63:  # what SQLite has no number for
            raise NoRecord("edit", "no such edit")
        row = on.execute(
            sa.select(db.edits.c.document).where(db.edits.c.id == id, db.edits.c.edit == edit)
        ).first()
        if row is None:
            raise NoRecord("edit", "no such edit")
        return decode(bytes(row.document))

    def edit(self, by: Caller, record: Record, *, after_edit: int, now: Moment) -> int:
        """Saves a draft and returns its edit number. `after_edit` is the edit that the editor began with: raises
        Outdated with the difference when somebody saved since. Conflict when the record is no draft."""
        require(NEEDS[Act.EDIT], by.rights)
        require(Right.READ, by.rights)  # a conflict tells what the other wrote
        with self._write() as on:
            head = self._head(on, record.id)
            if head.edit != after_edit:
                began, there = (
                    seen_by(self._document(on, record.id, e), member=True) for e in (after_edit, head.edit)
                )
                raise Outdated(int(head.edit), difference(began, there))
            after(State(head.state), Act.EDIT)
            edit = int(head.edit) + 1
            self._save(on, record, edit, head.version, by.account, now)
            on.execute(sa.update(db.heads).where(db.heads.c.id == record.id).values(edit=edit))
            self._act(on, record.id, Act.EDIT, by.account, now, edit)
        return edit

    def work(self, by: Caller, id: str, *, now: Moment) -> Work:
        """The newest edit, for those who may read and write. The look is recorded."""
        require(Right.WRITE, by.rights)
        require(Right.READ, by.rights)
        with self._read() as on:
            found = self._work(on, id)
        self._look(by, "work", id, 1, now)
        return found

    def standing(self, by: Caller, id: str) -> Standing:
        """Where a record's work stands, for who may take a step of it: what a step is answered with. It tells nothing of
        what the record says, so it is no look."""
        if not by.rights & {Right.REVIEW, Right.PUBLISH}:
            require(Right.WRITE, by.rights)
        with self._read() as on:
            head = self._head(on, id)
            lacking = complete(self._document(on, id, head.edit))
        return Standing(State(head.state), int(head.edit), lacking, int(head.version))

    def _work(self, on: sa.Connection, id: str) -> Work:
        head = self._head(on, id)
        rows = on.execute(sa.select(db.acts).where(db.acts.c.id == id).order_by(db.acts.c.act)).all()
        authors = on.execute(
            sa.select(db.edits.c.account).where(db.edits.c.id == id, db.edits.c.after == head.version)
        ).scalars()
        origin = on.execute(sa.select(db.records.c.origin).where(db.records.c.id == id)).scalar() or ""
        return Work(
            self._document(on, id, head.edit), State(head.state), int(head.edit), int(head.version),
            Change(head.change), Words.of(json.loads(head.reason)), frozenset(authors),
            tuple(Done(Act(r.what), r.account, r.at, int(r.edit), r.note) for r in rows), origin,
        )  # fmt: skip

    def drafts(self, by: Caller) -> list[dict[str, Any]]:
        """Records with open work: id, state, edit, version."""
        require(Right.WRITE, by.rights)
        open_ = [s.value for s in (State.DRAFT, State.IN_REVIEW, State.APPROVED)]
        columns = (db.heads.c.id, db.heads.c.state, db.heads.c.edit, db.heads.c.version, db.heads.c.change)
        with self._read() as on:
            rows = on.execute(sa.select(*columns).where(db.heads.c.state.in_(open_)).order_by(db.heads.c.id))
            return [dict(r._mapping) for r in rows]

    def submit(self, by: Caller, id: str, *, now: Moment, note: str = "") -> None:
        """Asks for review. Raises BadRecord with what is lacking."""
        with self._write() as on:
            lacking = complete(self._document(on, id, self._head(on, id).edit))
            if lacking:
                raise BadRecord(lacking)
            self._step(on, by, id, Act.SUBMIT, now, note)

    def give_back(self, by: Caller, id: str, *, now: Moment, note: str) -> None:
        """Back to its editors, with a note saying why: Refused (missing_value) without one."""
        require(NEEDS[Act.RETURN], by.rights)
        if not tidy(note, 4_000, lines=True):
            raise Refused(Code.MISSING_VALUE, Where(path="note"), "why, for its editors")
        with self._write() as on:
            if on.execute(sa.select(db.staged.c.id).where(db.staged.c.id == id)).first():
                raise Conflict("this record is just being published")
            self._step(on, by, id, Act.RETURN, now, note)

    def approve(self, by: Caller, id: str, *, edit: int, now: Moment, note: str = "") -> None:
        """Approves exactly the edit that the reviewer read. Refused (same_officer) for who wrote any of it."""
        with self._write() as on:
            head = self._head(on, id)
            require(NEEDS[Act.APPROVE], by.rights)
            require(Right.READ, by.rights)
            if head.edit != edit:
                began, there = (seen_by(self._document(on, id, e), member=True) for e in (edit, head.edit))
                raise Outdated(int(head.edit), difference(began, there))
            authors = on.execute(
                sa.select(db.edits.c.account).where(db.edits.c.id == id, db.edits.c.after == head.version)
            ).scalars()
            approve(by.account, set(authors))
            self._step(on, by, id, Act.APPROVE, now, note)

    def discard(self, by: Caller, id: str, *, now: Moment, note: str = "") -> None:
        """Gives a draft up: a new record is kept and no longer listed, a published one returns to its version."""
        with self._write() as on:
            head = self._head(on, id)
            self._step(on, by, id, Act.DISCARD, now, note)
            if head.version:
                on.execute(sa.update(db.heads).where(db.heads.c.id == id).values(state=State.PUBLISHED.value))

    def _step(self, on: sa.Connection, by: Caller, id: str, act: Act, now: Moment, note: str) -> None:
        require(NEEDS[act], by.rights)
        head = self._head(on, id)
        state = after(State(head.state), act)
        on.execute(sa.update(db.heads).where(db.heads.c.id == id).values(state=state.value))
        self._act(on, id, act, by.account, now, head.edit, tidy(note, 4_000, lines=True))

    def reopen(self, by: Caller, id: str, change: Change, reason: Words, *, now: Moment) -> int:
        """Opens a correction or a withdrawal of a published record, with its reason for everybody in Chinese and English;
        the edit number of the draft, which says what the published version says."""
        if change is Change.FIRST or not (reason.get("zh") and reason.get("en")):
            raise Refused(Code.MISSING_VALUE, Where(path="reason"), "why, in Chinese and in English")
        reason = Words.of({tag: tidy(text, 600, lines=True) for tag, text in reason})
        with self._write() as on:
            head = self._head(on, id)
            self._step(on, by, id, Act.OPEN, now, change.value)
            row = on.execute(
                sa.select(db.versions.c.document).where(
                    db.versions.c.id == id, db.versions.c.version == head.version
                )
            ).one()
            edit = int(head.edit) + 1
            self._save(on, decode(bytes(row.document)), edit, head.version, by.account, now)
            values = {
                "edit": edit,
                "change": change.value,
                "reason": canonical.dumps(dict(reason.pairs)).decode(),
            }
            on.execute(sa.update(db.heads).where(db.heads.c.id == id).values(**values))
        return edit

    # Publishing: stage, log, apply

    def publish(self, by: Caller, *ids: str, now: Moment) -> list[int]:
        """Signs, logs and publishes approved records; the version number of each. When this returns, everybody sees
        them and the log has them. After a failure between, `recover` or the next call goes on with the same signature."""
        require(NEEDS[Act.PUBLISH], by.rights)
        salts = {id: secrets.token_bytes(statement.SALT) for id in ids}
        with self._read() as on:
            prepared = [self._prepare(on, id, salts[id], by.account, now) for id in ids]
        with self._write() as on:
            for row in prepared:
                head = self._head(on, row["id"])
                if State(head.state) is not State.APPROVED or head.edit != row["edit"]:
                    raise Conflict("the record changed while it was signed")
                there = sa.select(db.staged.c.id).where(
                    db.staged.c.id == row["id"], db.staged.c.version == row["version"]
                )
                if not on.execute(there).first():
                    on.execute(sa.insert(db.staged).values(**row))
        self._finish(ids)
        return [row["version"] for row in prepared]

    def _prepare(self, on: sa.Connection, id: str, salt: bytes, account: str, now: Moment) -> dict[str, Any]:
        head = self._head(on, id)
        after(State(head.state), Act.PUBLISH)
        record = self._document(on, id, head.edit)
        said = statement.state(
            record, version=int(head.version) + 1, change=Change(head.change), at=now, salt=salt,
            previous=self._previous(on, id, head.version), reason=Words.of(json.loads(head.reason)),
        )  # fmt: skip
        return {
            "id": id, "version": said.version, "edit": int(head.edit), "account": account, "at": now, "salt": salt,
            "entry": said.entry, "signed": statement.sign(said, self._signer),
        }  # fmt: skip

    def _previous(self, on: sa.Connection, id: str, version: int) -> str:
        entry = on.execute(
            sa.select(db.versions.c.entry).where(db.versions.c.id == id, db.versions.c.version == version)
        ).scalar()
        return statement.read(bytes(entry)).public if entry else ""

    def recover(self) -> list[str]:
        """Finishes what was signed and not yet published, and brings the log's files up to date; the ids finished."""
        with self._read() as on:
            ids = list(on.execute(sa.select(db.staged.c.id)).scalars())
        if ids:
            self._finish(ids)
        if self._own is not None:
            self._own.settle()
        return ids

    def _finish(self, ids: Sequence[str]) -> None:
        """Logs and applies what is staged of these records. Whoever comes second finds nothing staged."""
        with self._read() as on:
            rows = [
                row
                for cut in range(0, len(ids), 500)
                for row in on.execute(sa.select(db.staged).where(db.staged.c.id.in_(ids[cut : cut + 500])))
            ]
        places = self._log.append([bytes(row.entry) for row in rows])
        with self._write() as on:
            for row, place in zip(rows, places, strict=True):
                still = sa.delete(db.staged).where(
                    db.staged.c.id == row.id, db.staged.c.version == row.version
                )
                if on.execute(still).rowcount:
                    self._apply(on, row, place)

    def _apply(self, on: sa.Connection, row: Any, place: int) -> None:
        """A staged version becomes a published one: the version, its place on the shelf, its words, the head, the act."""
        said = statement.read(bytes(row.entry))
        record = self._document(on, row.id, row.edit)
        first = on.execute(
            sa.select(db.versions.c.at).where(db.versions.c.id == row.id, db.versions.c.version == 1)
        ).scalar()
        first_at = row.at if first is None else int(first)
        made = on.execute(
            sa.insert(db.versions).values(
                id=row.id, version=row.version, edit=row.edit, change=said.change.value,
                reason=canonical.dumps(dict(said.reason.pairs)).decode(), at=row.at, first_at=first_at,
                document=encode(record), salt=row.salt, entry=row.entry, signed=row.signed, log_index=place,
            )
        )  # fmt: skip
        assert made.inserted_primary_key is not None
        number = made.inserted_primary_key[0]
        withdrawn = said.change is Change.WITHDRAWAL
        shelved, words = on_the_shelf(record, row.version, first_at=first_at, at=row.at, withdrawn=withdrawn)
        for index, text in words.items():
            on.exec_driver_sql(f"INSERT INTO {index} (rowid, tokens) VALUES (?, ?)", (number, text))
        on.execute(sa.insert(db.shelf).values(number=number, **shelved))
        on.execute(
            sa.update(db.heads)
            .where(db.heads.c.id == row.id)
            .values(state=State.PUBLISHED.value, version=row.version)
        )
        self._act(on, row.id, Act.PUBLISH, row.account, row.at, row.edit)

    # Reading

    def show(self, id: str, viewer: Caller | None, *, now: Moment, version: int | None = None) -> Version:
        """A published record: the newest version or that one, as the viewer sees it; a member's look is recorded.
        Refused (bad_value) when there is none, the same for a draft and for an id that nobody ever used."""
        member = viewer is not None and Right.READ in viewer.rights
        with self._read() as on:
            rows = on.execute(
                sa.select(db.versions).where(db.versions.c.id == id).order_by(db.versions.c.version)
            ).all()
        chosen = [r for r in rows if version in (None, r.version)]
        if not chosen:
            raise NoRecord()
        if member:
            assert viewer is not None
            self._look(viewer, "show", id, 1, now)
        return self._version(chosen[-1], member, len(rows))

    def _version(self, row: Any, member: bool, versions: int) -> Version:
        seen = seen_by(decode(bytes(row.document)), member=member)
        change = Change(row.change)
        entry = Entry(seen, row.first_at, row.at, int(row.version), change is Change.WITHDRAWAL)
        return Version(
            entry, change, Words.of(json.loads(row.reason)), statement.read(bytes(row.entry)), bytes(row.signed),
            int(row.log_index), bytes(row.salt) if member else None, versions,
        )  # fmt: skip

    def history(self, id: str) -> tuple[Published, ...]:
        """Every published version as the log has it, oldest first: nothing of it is for members. Refused as `show`."""
        columns = (
            db.versions.c.version, db.versions.c.change, db.versions.c.reason, db.versions.c.at, db.versions.c.log_index,
        )  # fmt: skip
        with self._read() as on:
            rows = on.execute(sa.select(*columns).where(db.versions.c.id == id).order_by(columns[0])).all()
        if not rows:
            raise NoRecord()
        return tuple(
            Published(
                int(r.version), Change(r.change), Words.of(json.loads(r.reason)), r.at, int(r.log_index)
            )
            for r in rows
        )

    def differences(
        self, id: str, old: int, new: int, viewer: Caller | None, *, now: Moment
    ) -> tuple[Difference, ...]:
        """What changed from one published version to another, for this viewer."""
        before, later = (self.show(id, viewer, now=now, version=v).entry.seen for v in (old, new))
        return difference(before, later)

    def warm(self) -> None:
        """Makes finding ready for both audiences: seconds for 100,000 records, which the first to ask would wait for."""
        with self._read() as on:
            for finder in self._finders.values():
                finder.warm(on)

    def find(self, query: Query, viewer: Caller | None, *, now: Moment) -> Page:
        """A page of published records; a member's search is recorded with the number of cards shown."""
        member = viewer is not None and Right.READ in viewer.rights
        with self._read() as on:
            page = self._finders[member].page(on, query)
        if member and page.cards:
            assert viewer is not None
            self._look(viewer, "search", "", len(page.cards), now)
        return page

    def timeline(
        self, query: Query, viewer: Caller | None, facet: str, *, by_month: bool, now: Moment
    ) -> Timeline:
        """How many of the records that a query finds fall into each year or month; a member's look is recorded."""
        member = viewer is not None and Right.READ in viewer.rights
        with self._read() as on:
            found = self._finders[member].timeline(on, query, facet, by_month=by_month)
        if member and (seen := int(found.totals.sum())):
            assert viewer is not None
            self._look(viewer, "search", "", seen, now)
        return found

    def entries(self, query: Query, viewer: Caller | None, *, now: Moment) -> Iterator[Entry]:
        """Everything that a query finds, for exports and feeds, a few hundred at a time; recorded for a member."""
        member = viewer is not None and Right.READ in viewer.rights
        with self._read() as on:
            ids = self._finders[member].ids(on, query)
        if member and ids:
            assert viewer is not None
            self._look(viewer, "export", "", len(ids), now)
        for cut in range(0, len(ids), 400):
            yield from self._newest(ids[cut : cut + 400], member)

    def _newest(self, ids: Sequence[str], member: bool) -> Iterator[Entry]:
        """The newest versions of a few hundred records, in this order."""
        newest = sa.select(db.versions).join(
            db.heads, sa.and_(db.heads.c.id == db.versions.c.id, db.heads.c.version == db.versions.c.version)
        )
        with self._read() as on:
            rows = {r.id: r for r in on.execute(newest.where(db.versions.c.id.in_(ids)))}
        yield from (self._version(rows[id], member, 0).entry for id in ids if id in rows)

    def newest(self, query: Query, most: int, *, now: Moment) -> list[Entry]:
        """The newest versions of what a stranger finds, at most so many: what feeds are made of, whoever asks."""
        found = self.find(replace(query, sort=Sort.PUBLISHED, size=most, after=""), None, now=now)
        return list(self._newest([card["id"] for card in found.cards], False))

    # Import, duplicates, signals, pictures

    def take(self, by: Caller, taken: Taken, *, now: Moment) -> list[str]:
        """Opens a draft for each record of an import, all or none on disk; the ids opened. A record whose id is there
        already is moved to `taken.refused`: nothing here is overwritten by a file."""
        require(Right.WRITE, by.rights)
        opened = []
        with self._write() as on:
            for entry in taken.entries:
                record = entry.seen.record
                try:
                    self._open(on, by.account, record, now, "import")
                    opened.append(record.id)
                except Conflict:
                    taken.refuse(
                        record.id, Refused(Code.DUPLICATE_ID, Where(path="id"), "a record of this id is here")
                    )
        return opened

    def alike(
        self, by: Caller, taken: Taken, opened: Collection[str], *, now: Moment
    ) -> dict[str, tuple[duplicates.Suggestion, ...]]:
        """The drafts that an import opened → `duplicates` of each that has any; nothing above MOST_ALIKE drafts."""
        if len(opened) > MOST_ALIKE:
            return {}
        records = [e.seen.record for e in taken.entries if e.seen.record.id in set(opened)]
        return {r.id: found for r in records if (found := self.duplicates(by, r, now=now))}

    def duplicates(self, by: Caller, record: Record, *, now: Moment) -> tuple[duplicates.Suggestion, ...]:
        """Records, published or in work, that may be about the same incident."""
        require(Right.WRITE, by.rights)
        require(Right.READ, by.rights)
        others: dict[str, Record] = {}
        with self._read() as on:
            if record.date is not None:
                first, last = (day_number(d) for d in (record.date.first, record.date.last))
                query = Query(since=first - duplicates.NEAR, until=last + duplicates.NEAR, size=200)
                while True:
                    page = self._finders[True].page(on, query)
                    for card in page.cards:
                        others[card["id"]] = from_json(
                            {k: card[k] for k in ("id", "victim", "date") if k in card}
                        )
                    if not page.next or len(others) >= 20_000:
                        break
                    query = Query(since=query.since, until=query.until, size=200, after=page.next)
                others |= self._with_sources_of(on, record, list(others))
            open_ = sa.select(db.edits.c.document).join(
                db.heads, sa.and_(db.heads.c.id == db.edits.c.id, db.heads.c.edit == db.edits.c.edit)
            )
            states = [s.value for s in (State.DRAFT, State.IN_REVIEW, State.APPROVED)]
            for row in on.execute(open_.where(db.heads.c.state.in_(states)).limit(5_000)):
                draft = decode(bytes(row.document))
                others[draft.id] = draft
        return duplicates.suggest(record, others.values())

    def _with_sources_of(self, on: sa.Connection, record: Record, ids: Sequence[str]) -> dict[str, Record]:
        """Those of these published records that name an address which this one's sources name: whole, since what lists
        show of a record has no sources. Only those documents are read in which the address stands."""
        named = dict.fromkeys(s.url.rstrip("/").encode() for s in record.sources if s.url)
        if not named:
            return {}
        told = sa.or_(*(sa.func.instr(db.versions.c.document, url) > 0 for url in list(named)[:MOST_SOURCES]))
        newest = sa.select(db.versions.c.id, db.versions.c.document).join(
            db.heads, sa.and_(db.heads.c.id == db.versions.c.id, db.heads.c.version == db.versions.c.version)
        )
        return {
            row.id: decode(bytes(row.document))
            for cut in range(0, len(ids), 400)
            for row in on.execute(newest.where(db.versions.c.id.in_(ids[cut : cut + 400]), told))
        }

    def merged(self, by: Caller, id: str, other: str, *, now: Moment) -> tuple[Record, int, tuple[str, ...]]:
        """A draft with what `other` says besides it, the edit that this began with, and the fields on which the two
        disagree: there the draft's own stands. Nothing is saved: a person reads it and saves it, or does not.

        Of a published record counts what is published, whatever was begun or given up since. Refused (bad_value) for a
        record and itself, Conflict when the record is no draft."""
        if id == other:
            raise Refused(Code.BAD_VALUE, Where(path="with"), "another record")
        mine = self.work(by, id, now=now)
        after(mine.state, Act.EDIT)
        theirs = self.work(by, other, now=now)
        record = self.show(other, by, now=now).entry.seen.record if theirs.version else theirs.record
        made, differ = duplicates.merged(mine.record, record)
        return made, mine.edit, differ

    def signal(self, signal: Signal, *, now: Moment) -> str:
        """As `kangma.incidents.signal.TakesSignals`: at most one draft for an event, however often it is told."""
        with self._write() as on:
            there = on.execute(sa.select(db.signals.c.id).where(db.signals.c.key == signal.key)).scalar()
            if there is not None:
                self._told_again(on, str(there), signal, now)
                return str(there)
            id = f"signal-{signal.key[:12]}"
            self._open(on, MACHINE, draft_of(signal, id, now=now), now, "signal")
            on.execute(sa.insert(db.signals).values(key=signal.key, id=id, source=signal.source[:64], at=now))
        return id

    def _told_again(self, on: sa.Connection, id: str, signal: Signal, now: Moment) -> None:
        """What is new in a later signal is the next edit of its draft, while nobody has taken that up: no machine writes
        over what a person wrote, and an event that was over does not begin again."""
        head = self._head(on, id)
        authors = sa.select(db.edits.c.account).where(db.edits.c.id == id).distinct()
        untouched = head.state == State.DRAFT and set(on.execute(authors).scalars()) == {MACHINE}
        if not untouched or head.edit >= MOST_TOLD:
            return
        opened = int(on.execute(sa.select(db.records.c.opened_at).where(db.records.c.id == id)).scalar_one())
        there, made = self._document(on, id, head.edit), draft_of(signal, id, now=opened)
        over = there.date is not None and "/" in there.date.text
        if made == there or (over and signal.ended is None):
            return
        edit = int(head.edit) + 1
        self._save(on, made, edit, head.version, MACHINE, now)
        on.execute(sa.update(db.heads).where(db.heads.c.id == id).values(edit=edit))
        self._act(on, id, Act.EDIT, MACHINE, now, edit, "signal")

    def keep_picture(self, by: Caller, content: bytes, type_: str) -> str:
        """Keeps a picture and returns its digest, for `Record.picture`. Refused: too_many_bytes above 4 MiB; bad_value
        when its first bytes are not those of its type. It is never decoded here."""
        require(Right.WRITE, by.rights)
        if len(content) > MOST_PICTURE:
            raise Refused(Code.TOO_MANY_BYTES, hint="at most 4 MiB")
        sound = content.startswith(_MAGIC.get(type_, b"\0")) and (
            type_ != "image/webp" or content[8:12] == b"WEBP"
        )
        if type_ not in _MAGIC or not sound:
            raise Refused(Code.BAD_VALUE, hint="a PNG, JPEG or WebP picture")
        digest = hashlib.sha256(content).hexdigest()
        with self._write() as on:
            if not on.execute(sa.select(db.pictures.c.digest).where(db.pictures.c.digest == digest)).first():
                on.execute(sa.insert(db.pictures).values(digest=digest, type=type_, content=content))
        return digest

    def picture(self, id: str, viewer: Caller | None, *, now: Moment) -> tuple[str, bytes] | None:
        """(type, bytes) of a published record's picture as this viewer sees it; None when there is none for them."""
        shown = self.show(id, viewer, now=now).entry.seen.record.picture
        if shown is None:
            return None
        with self._read() as on:
            row = on.execute(sa.select(db.pictures).where(db.pictures.c.digest == shown.digest)).first()
        return (row.type, bytes(row.content)) if row else None

    def draft_picture(self, by: Caller, id: str, *, now: Moment) -> tuple[str, bytes] | None:
        """(type, bytes) of the picture that the newest edit names, for those who may read and write; None for none."""
        named = self.work(by, id, now=now).record.picture
        if named is None:
            return None
        with self._read() as on:
            row = on.execute(sa.select(db.pictures).where(db.pictures.c.digest == named.digest)).first()
        return (row.type, bytes(row.content)) if row else None

    # Founding records and checks

    def found(self, administrator: Caller, founding: Iterable[Record], *, now: Moment) -> list[str]:
        """Takes in the records that ship with Kangma: written by the project, reviewed and published by the
        administrator. Those whose id is there already are left alone."""
        author = self.member(FOUNDING)
        opened = []
        with self._write() as on:
            for record in founding:
                with contextlib.suppress(Conflict):
                    self._open(on, FOUNDING, record, now, "founding")
                    opened.append(record.id)
        for id in opened:
            self.submit(author, id, now=now)
            self.approve(administrator, id, edit=1, now=now)
        if opened:
            self.publish(administrator, *opened, now=now)
        return opened

    def ready(self) -> None:
        """Returns when this register can answer and write: its database is read, its disk has room, and the log's files
        say what the database says. Raises Unavailable otherwise."""
        with self._read() as on:
            on.execute(sa.select(db.settings.c.name).limit(1)).first()
        if shutil.disk_usage(self.path).free < LEAST_ROOM:
            raise Unavailable("the disk is nearly full")
        if self._own is not None and not self._own.settled():
            raise Unavailable("the files of the log are behind")

    def check(self) -> dict[str, int]:
        """Holds every published version against its signature, its statement and its place in the log. Raises Corrupt
        with the first that differs."""
        checked = 0
        previous: dict[str, str] = {}
        with self._read() as on:
            entries = (
                {
                    int(p): bytes(e)
                    for p, e in on.execute(sa.select(db.log_entries.c.place, db.log_entries.c.entry))
                }
                if self._own is not None
                else None
            )
            for row in on.execute(sa.select(db.versions).order_by(db.versions.c.number)):
                where = f"{row.id} version {row.version}"
                try:
                    said = statement.verify(bytes(row.signed), self.key)
                except Refused:
                    raise Corrupt(f"{where}: not signed by this register") from None
                record = decode(bytes(row.document))
                statement.check(said, seen_by(record, member=False).record)
                statement.check(said, record, bytes(row.salt))
                same = (said.id, said.version, said.entry) == (row.id, row.version, bytes(row.entry))
                if not same or said.previous != previous.get(row.id, ""):
                    raise Corrupt(f"{where}: its statement speaks of another version")
                if entries is not None and entries.get(int(row.log_index)) != said.entry:
                    raise Corrupt(f"{where}: not in the log where it should be")
                previous[row.id] = said.public
                checked += 1
        return {"versions": checked}
