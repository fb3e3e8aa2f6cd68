"""Members over a network: invitations, passkeys, challenges and sessions of a register. What WebAuthn means is the
gateway's; what is kept, and what is taken only once, is here.

Tokens are shown once and kept as SHA-256. A call that returned is durable; one that raised changed nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kangma.errors import Code, Conflict, Refused
from kangma.incidents.life import NEWS, Happening, Right, Role, require
from kangma.store import register_schema as db
from kangma.terms import DAY, HOUR, Moment

#: Who wrote the records that ship with Kangma, and what defences are called: nobody signs in as these.
FOUNDING, MACHINE = "kangma", "machine"
INVITATION = DAY
WAITING = 7 * DAY  # for the second administrator; then a day for the link
#: An administrator counts as a second one after a day: who makes one for the purpose has to wait, and is seen.
SETTLED = DAY
CHALLENGE = 300  # seconds to answer
#: A session ends after an hour without a request, and after twelve in any case.
IDLE, LONGEST = HOUR, 12 * HOUR
SEEN_EVERY = 300  # a request is noted at most this often: a note is a write
MOST_PASSKEYS = 20
_NONCE, _MAC = 16, 16

Transaction = Callable[[], AbstractContextManager[sa.Connection]]


@dataclass(frozen=True, slots=True)
class Passkey:
    """`id` is the credential's, `public` what the authenticator said of it (AttestedCredentialData of WebAuthn)."""

    id: bytes
    account: str
    public: bytes
    count: int
    eligible: bool  # may be backed up
    backed_up: bool
    made_at: Moment = 0
    used_at: Moment | None = None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def happened(on: sa.Connection, account: str, what: Happening, by: str, now: Moment, about: str = "") -> None:
    """Keeps what was done to an account, in the transaction in which it is done."""
    on.execute(
        sa.insert(db.happened).values(account=account, at=now, what=what.value, by=by, about=about[:64])
    )


def _refused() -> Refused:
    """One answer for unknown, ended, used and closed: who tries learns nothing."""
    return Refused(Code.NOT_ALLOWED, hint="this is not, or no longer, accepted")


class Members:
    """Of one register: `Register.members`. Safe for threads and for several programs at once."""

    def __init__(self, write: Transaction, read: Transaction, secret: bytes) -> None:
        self._write, self._read, self._secret = write, read, secret

    # Invitations

    def invite(self, rights: frozenset[Right], by: str, account: str, *, now: Moment) -> tuple[str, Moment]:
        """(token, until when): the account may enrol one passkey with it, once. For administrators. An earlier
        invitation of the account that was not used ends with this one; its passkeys stay as they are.

        An account that has, or had, a passkey is invited anew by two (docs/decisions/0115): the token is no good before
        another administrator agreed (`agree`, `waiting`). Where there is none it works at once. Either way the account's
        owner is told, and it is counted for everybody (`oversight`)."""
        require(Right.ACCOUNTS, rights)
        if account in (FOUNDING, MACHINE):
            raise _refused()
        token = secrets.token_urlsafe(32)
        with self._write() as on:
            self._open_account(on, account)
            anew = (
                on.execute(sa.select(db.passkeys).where(db.passkeys.c.account == account)).first() is not None
            )
            second = anew and bool(self._administrators(on, now) - {by, account})
            until = now + (WAITING if second else INVITATION)
            self._end_invitations(on, db.invitations.c.account == account, now)
            on.execute(
                sa.insert(db.invitations).values(
                    digest=_digest(token), account=account, made_by=by, made_at=now, expires_at=until,
                    needs_second=second,
                )
            )  # fmt: skip
            what = Happening.INVITED
            if anew:
                what = Happening.INVITED_ANEW if second else Happening.INVITED_ANEW_ALONE
            happened(on, account, what, by, now)
        return token, until

    def agree(self, rights: frozenset[Right], by: str, account: str, *, now: Moment) -> Moment:
        """A second administrator stands for the invitation of an account that waits for one: until when it is good now.
        Refused: same_officer for who invited and for the account itself; not_allowed for an administrator of less than
        a day. Conflict when none waits."""
        require(Right.ACCOUNTS, rights)
        with self._write() as on:
            row = on.execute(self._waiting(now).where(db.invitations.c.account == account)).first()
            if row is None:
                raise Conflict("no invitation of this account waits for a second administrator")
            if by in (row.made_by, account):
                raise Refused(Code.SAME_OFFICER, hint="a second administrator must agree")
            if by not in self._administrators(on, now):
                raise Refused(Code.NOT_ALLOWED, hint="an administrator for less than a day")
            until = now + INVITATION
            on.execute(
                sa.update(db.invitations)
                .where(db.invitations.c.digest == row.digest)
                .values(second_by=by, second_at=now, expires_at=until)
            )
            happened(on, account, Happening.AGREED, by, now)
        return until

    def waiting(self, rights: frozenset[Right], *, now: Moment) -> list[dict[str, Any]]:
        """Invitations that wait for a second administrator: account, made_by, made_at, expires_at."""
        require(Right.ACCOUNTS, rights)
        with self._read() as on:
            names = ("account", "made_by", "made_at", "expires_at")
            return [{n: getattr(r, n) for n in names} for r in on.execute(self._waiting(now))]

    @staticmethod
    def _waiting(now: Moment) -> sa.Select[Any]:
        i = db.invitations.c
        return sa.select(db.invitations).where(
            i.needs_second, i.second_by.is_(None), i.used_at.is_(None), i.expires_at > now
        )

    @staticmethod
    def _administrators(on: sa.Connection, now: Moment) -> set[str]:
        """Open accounts that have been administrators for a day."""
        a = db.accounts.c
        settled = (a.role == Role.ADMINISTRATOR.value, a.closed_at.is_(None), a.made_at <= now - SETTLED)
        return set(on.execute(sa.select(a.account).where(*settled)).scalars())

    @staticmethod
    def _end_invitations(on: sa.Connection, which: sa.ColumnElement[bool], now: Moment) -> None:
        on.execute(
            sa.update(db.invitations)
            .where(which, db.invitations.c.used_at.is_(None))
            .values(expires_at=sa.func.min(db.invitations.c.expires_at, now))
        )

    def closed(self, on: sa.Connection, account: str, by: str, now: Moment) -> None:
        """What ends with an account, in the caller's transaction: its tokens and those that it made for others, and every
        unused invitation of it, by it, or that it stood for."""
        t, i = db.tokens.c, db.invitations.c
        ended = sa.and_(sa.or_(t.account == account, t.made_by == account), t.closed_at.is_(None))
        for row in on.execute(sa.select(t.token, t.account).where(ended)).all():
            happened(on, row.account, Happening.TOKEN_CLOSED, by, now, row.token)
        on.execute(sa.update(db.tokens).where(ended).values(closed_at=now))
        self._end_invitations(
            on, sa.or_(i.account == account, i.made_by == account, i.second_by == account), now
        )

    # What happened to an account

    def history(self, account: str) -> list[dict[str, Any]]:
        """All that happened to an account, latest first: number, at, what, by, about."""
        h = db.happened.c
        found = sa.select(h.number, h.at, h.what, h.by, h.about).where(h.account == account)
        with self._read() as on:
            rows = on.execute(found.order_by(h.number.desc()).limit(500)).all()
        return [{**r._mapping, "what": Happening(r.what)} for r in rows]

    def news(self, session: str) -> list[dict[str, Any]]:
        """What others did to the account that is signed in here and that this passkey's owner has not read, latest first.
        Who came in by another passkey has read it for themselves only."""
        passkey, account = self._signed_in_by(session)
        told = [h for h in self.history(account) if h["what"] in NEWS and h["by"] != account]
        return [h for h in told if h["number"] > passkey]

    def read_news(self, session: str, upto: int) -> None:
        """The owner of this session's passkey has read what happened up to this number."""
        row = (
            sa.select(db.sessions.c.passkey).where(db.sessions.c.digest == _digest(session)).scalar_subquery()
        )
        with self._write() as on:
            newest = sa.select(sa.func.coalesce(sa.func.max(db.happened.c.number), 0)).scalar_subquery()
            on.execute(
                sa.update(db.passkeys)
                .where(db.passkeys.c.passkey == row, db.passkeys.c.seen < upto, newest >= upto)
                .values(seen=upto)
            )

    def _signed_in_by(self, session: str) -> tuple[int, str]:
        """(the newest happening that the session's passkey has read, the account)."""
        p, s = db.passkeys.c, db.sessions.c
        with self._read() as on:
            row = on.execute(
                sa.select(p.seen, p.account)
                .join(db.sessions, s.passkey == p.passkey)
                .where(s.digest == _digest(session))
            ).first()
        if row is None:
            raise _refused()
        return int(row.seen), str(row.account)

    def oversight(self) -> dict[str, int]:
        """For everybody: how many administrators there are, and how often an account that had a passkey was invited anew:
        with a second administrator asked, with their agreement, and by one alone."""
        h, a = db.happened.c, db.accounts.c
        open_ = (a.role == Role.ADMINISTRATOR.value, a.closed_at.is_(None))
        with self._read() as on:
            counts: dict[str, int] = {
                str(what): int(n)
                for what, n in on.execute(sa.select(h.what, sa.func.count()).group_by(h.what))
            }
            administrators = on.execute(
                sa.select(sa.func.count()).select_from(db.accounts).where(*open_)
            ).scalar()
        return {
            "administrators": int(administrators or 0),
            "invited_anew": counts.get(Happening.INVITED_ANEW, 0),
            "agreed": counts.get(Happening.AGREED, 0),
            "invited_anew_alone": counts.get(Happening.INVITED_ANEW_ALONE, 0),
        }

    @staticmethod
    def link(base: str, token: str) -> str:
        """Where an invitation is taken up. The token is in the fragment, which browsers send to nobody."""
        return f"{base}/members#invitation={token}"

    def invited(self, token: str, *, now: Moment) -> str:
        """The account that an invitation is for."""
        with self._read() as on:
            return self._invited(on, token, now)

    def _invited(self, on: sa.Connection, token: str, now: Moment) -> str:
        row = on.execute(sa.select(db.invitations).where(db.invitations.c.digest == _digest(token))).first()
        if row is None or row.used_at is not None or row.expires_at <= now:
            raise _refused()
        if row.needs_second and row.second_by is None:
            raise _refused()
        self._open_account(on, row.account)
        return str(row.account)

    def _open_account(self, on: sa.Connection, account: str) -> None:
        closed = on.execute(
            sa.select(db.accounts.c.closed_at).where(db.accounts.c.account == account)
        ).first()
        if closed is None or closed[0] is not None:
            raise _refused()

    # Challenges: made without writing anything, so that a stranger's questions cost no disk; kept once answered.

    def challenge(self, purpose: str, *, now: Moment) -> bytes:
        """48 bytes for one ceremony of this purpose, for five minutes."""
        head = secrets.token_bytes(_NONCE) + (now + CHALLENGE).to_bytes(8, "big") + bytes(8)
        return head + self._mac(purpose, head)

    def _mac(self, purpose: str, head: bytes) -> bytes:
        return hmac.digest(self._secret, b"challenge\0" + purpose.encode() + b"\0" + head, "sha256")[:_MAC]

    def _take(self, on: sa.Connection, purpose: str, challenge: bytes, now: Moment) -> None:
        """Ours, of this purpose, in time, and not answered before."""
        head, mac = challenge[:-_MAC], challenge[-_MAC:]
        until = int.from_bytes(head[_NONCE : _NONCE + 8], "big")
        sound = len(head) == _NONCE + 16 and hmac.compare_digest(mac, self._mac(purpose, head))
        digest = hashlib.sha256(challenge).hexdigest()
        if not sound or until <= now:
            raise _refused()
        on.execute(sa.delete(db.answered).where(db.answered.c.expires_at <= now))
        if on.execute(sa.select(db.answered.c.digest).where(db.answered.c.digest == digest)).first():
            raise _refused()
        on.execute(sa.insert(db.answered).values(digest=digest, expires_at=until))

    def handle(self, account: str) -> bytes:
        """What authenticators keep as the user's handle: it names the account to us and to nobody else."""
        return hmac.digest(self._secret, b"handle\0" + account.encode(), "sha256")

    # Passkeys

    def passkeys(self, account: str) -> list[Passkey]:
        """Those of an account that are open."""
        rows = sa.select(db.passkeys).where(
            db.passkeys.c.account == account, db.passkeys.c.closed_at.is_(None)
        )
        with self._read() as on:
            return [_passkey(r) for r in on.execute(rows.order_by(db.passkeys.c.made_at))]

    def passkey(self, id: bytes) -> Passkey:
        """An open passkey of an open account."""
        with self._read() as on:
            return self._passkey(on, id)

    def _passkey(self, on: sa.Connection, id: bytes) -> Passkey:
        row = on.execute(
            sa.select(db.passkeys).where(db.passkeys.c.passkey == id.hex(), db.passkeys.c.closed_at.is_(None))
        ).first()
        if row is None:
            raise _refused()
        self._open_account(on, row.account)
        return _passkey(row)

    def enrol(self, passkey: Passkey, *, challenge: bytes, invitation: str | None, now: Moment) -> None:
        """Keeps a passkey; the challenge and the invitation are used up with it, all or nothing. Without an invitation
        the caller has made sure that the account itself asks."""
        with self._write() as on:
            self._take(on, "enrol", challenge, now)
            what, by = Happening.ENROLLED_ANOTHER, passkey.account
            if invitation is not None:
                if self._invited(on, invitation, now) != passkey.account:
                    raise _refused()
                used = db.invitations.c.digest == _digest(invitation)
                on.execute(sa.update(db.invitations).where(used).values(used_at=now))
                ever = on.execute(
                    sa.select(db.passkeys).where(db.passkeys.c.account == passkey.account)
                ).first()
                what = Happening.ENROLLED if ever is None else Happening.ENROLLED_ANEW
                by = str(on.execute(sa.select(db.invitations.c.made_by).where(used)).scalar())
            self._open_account(on, passkey.account)
            there = sa.select(sa.func.count()).where(
                db.passkeys.c.account == passkey.account, db.passkeys.c.closed_at.is_(None)
            )
            if int(on.execute(there).scalar() or 0) >= MOST_PASSKEYS:
                raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_PASSKEYS} passkeys an account")
            if on.execute(sa.select(db.passkeys).where(db.passkeys.c.passkey == passkey.id.hex())).first():
                raise Conflict("this passkey is enrolled already")
            on.execute(
                sa.insert(db.passkeys).values(
                    passkey=passkey.id.hex(), account=passkey.account, public=passkey.public, count=passkey.count,
                    eligible=passkey.eligible, backed_up=passkey.backed_up, made_at=now,
                )
            )  # fmt: skip
            happened(on, passkey.account, what, by, now, passkey.id.hex()[:16])

    def close_passkey(self, rights: frozenset[Right], by: str, id: bytes, *, now: Moment) -> None:
        """One's own, or an administrator anybody's. Its sessions end with it."""
        with self._write() as on:
            row = on.execute(
                sa.select(db.passkeys.c.account).where(db.passkeys.c.passkey == id.hex())
            ).first()
            if row is None or row.account != by:
                require(Right.ACCOUNTS, rights)
            for table in (db.passkeys, db.sessions):
                mine = sa.and_(table.c.passkey == id.hex(), table.c.closed_at.is_(None))
                ended = on.execute(sa.update(table).where(mine).values(closed_at=now)).rowcount
                if table is db.passkeys and row is not None and ended:
                    happened(on, row.account, Happening.PASSKEY_CLOSED, by, now, id.hex()[:16])

    # Sessions

    def sign_in(
        self, id: bytes, *, challenge: bytes, count: int, eligible: bool, backed_up: bool, now: Moment
    ) -> tuple[str, Moment]:
        """(session token, until when at the latest) for whoever answered the challenge with this passkey, its signature
        checked. Refused when the counter did not grow (WebAuthn 7.2: it may have been copied) or when it says another
        eligibility for backup than at its enrolment."""
        token, until = secrets.token_urlsafe(32), now + LONGEST
        with self._write() as on:
            self._take(on, "sign-in", challenge, now)
            passkey = self._passkey(on, id)
            if (count or passkey.count) and count <= passkey.count:
                raise _refused()
            if eligible != passkey.eligible or (backed_up and not eligible):
                raise _refused()
            on.execute(
                sa.update(db.passkeys)
                .where(db.passkeys.c.passkey == id.hex())
                .values(count=count, backed_up=backed_up, used_at=now)
            )
            on.execute(
                sa.insert(db.sessions).values(
                    digest=_digest(token), account=passkey.account, passkey=id.hex(),
                    made_at=now, seen_at=now, expires_at=until,
                )
            )  # fmt: skip
            on.execute(sa.delete(db.sessions).where(db.sessions.c.expires_at <= now - 30 * DAY))
        return token, until

    def session(self, token: str, *, now: Moment) -> str:
        """The account that is signed in. Refused, the same for unknown, idle, ended and closed ones."""
        digest = _digest(token)
        with self._read() as on:
            row = on.execute(sa.select(db.sessions).where(db.sessions.c.digest == digest)).first()
            if row is None or row.closed_at is not None or row.expires_at <= now or row.seen_at + IDLE <= now:
                raise _refused()
            self._open_account(on, row.account)
        if row.seen_at + SEEN_EVERY <= now:
            with self._write() as on:
                on.execute(
                    sa.update(db.sessions)
                    .where(db.sessions.c.digest == digest, db.sessions.c.seen_at < now)
                    .values(seen_at=now)
                )
        return str(row.account)

    def sign_out(self, token: str, *, now: Moment) -> None:
        """The session is over. Nothing happens when there is none."""
        with self._write() as on:
            on.execute(
                sa.update(db.sessions)
                .where(db.sessions.c.digest == _digest(token), db.sessions.c.closed_at.is_(None))
                .values(closed_at=now)
            )


def _passkey(row: Any) -> Passkey:
    return Passkey(
        bytes.fromhex(row.passkey), row.account, bytes(row.public), int(row.count), bool(row.eligible),
        bool(row.backed_up), int(row.made_at), row.used_at,
    )  # fmt: skip
