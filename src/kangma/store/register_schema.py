"""The register's own SQLite file: what is kept, and what is never changed once it is written.

Edits, acts, versions, looks and log entries are append-only, and the database refuses to update or delete them. `heads`
and `settings`, and what members sign in with, are the only rows that move; `shelf` and the two word indexes are derived
from `versions`.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from kangma.incidents import canonical, finding
from kangma.incidents.form import decode
from kangma.incidents.levels import seen_by

#: 2 since members sign in over the network: `passkeys`, `invitations`, `sessions`, `answered`. 3 since it is kept what
#: happened to an account: `happened`, who made a token, which invitations two administrators stand for.
FORMAT = "3"

metadata = sa.MetaData()

#: format, title, base, origin, log (the state of the own log), ceremonies (the secret that challenges are made with).
settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

#: Members. An account is closed, never removed: what it did keeps its name.
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("organisation", sa.String(200), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("made_by", sa.String(64), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)

#: API tokens; only the SHA-256 of what the member holds is kept.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token", sa.String(16), primary_key=True),  # its public name
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),  # JSON list of rights
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("made_by", sa.String(64), nullable=False, server_default=""),  # "" before format 3: not kept
)

#: What members sign in with (WebAuthn). `public` is the authenticator's public part (AttestedCredentialData); `count`
#: and `backed_up` move with every sign-in, `eligible` (for backup) never does.
passkeys = sa.Table(
    "passkeys",
    metadata,
    sa.Column("passkey", sa.String(1_400), primary_key=True),  # the credential's id, hex
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("eligible", sa.Boolean, nullable=False),
    sa.Column("backed_up", sa.Boolean, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column(
        "seen", sa.BigInteger, nullable=False, server_default="0"
    ),  # newest of `happened` that its owner has read
)
sa.Index("passkeys_account", passkeys.c.account)

#: Links by which an account gets a passkey; used once. Only digests are kept, here and of sessions. Where `needs_second`,
#: the link is no good until another administrator agreed.
invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("made_by", sa.String(64), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("needs_second", sa.Boolean, nullable=False, server_default="0"),
    sa.Column("second_by", sa.String(64)),
    sa.Column("second_at", sa.BigInteger),
)

#: What happened to an account, and by whom: its owner reads it, and administrators.
happened = sa.Table(
    "happened",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # SQLite's rowid: grows
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("what", sa.String(32), nullable=False),  # kangma.incidents.life.Happening
    sa.Column("by", sa.String(64), nullable=False),
    sa.Column(
        "about", sa.String(64), nullable=False
    ),  # the token, the start of the passkey's id, an account, or ""
)
sa.Index("happened_account", happened.c.account)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("passkey", sa.String(1_400), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)

#: Challenges that were answered rightly, until they would have run out: none is answered twice.
answered = sa.Table(
    "answered",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("opened_by", sa.String(64), nullable=False),
    sa.Column("origin", sa.String(200), nullable=False),  # how it came: "", import, signal, founding
)

#: Where a record's work stands. `edit` is the newest edit, `version` the newest published one (0: none).
heads = sa.Table(
    "heads",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("edit", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("change", sa.String(16), nullable=False),  # what the open work is to the version before
    sa.Column("reason", sa.Text, nullable=False),  # JSON words
)
sa.Index("heads_state", heads.c.state)

#: Every save. `after` is the version on which the work was opened.
edits = sa.Table(
    "edits",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("edit", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),  # canonical bytes, all levels
)

acts = sa.Table(
    "acts",
    metadata,
    sa.Column("act", sa.Integer, primary_key=True),  # SQLite's rowid: grows
    sa.Column("id", sa.String(80), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("edit", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
sa.Index("acts_id", acts.c.id)

#: Signed, not yet known to be in the log. A crash between signing and publishing leaves the row; publishing again
#: takes it up, so that one version never has two statements.
staged = sa.Table(
    "staged",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("edit", sa.BigInteger, nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # SQLite's rowid: the order of publication
    sa.Column("id", sa.String(80), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("edit", sa.BigInteger, nullable=False),
    sa.Column("change", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("first_at", sa.BigInteger, nullable=False),  # of version 1
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("log_index", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("id", "version", name="versions_once"),
)

#: What lists and filters need of each version, for both audiences: JSON of facets and card.
shelf = sa.Table(
    "shelf",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(80), nullable=False),
    sa.Column("first_day", sa.BigInteger, nullable=False),  # of what a stranger sees
    sa.Column("last_day", sa.BigInteger, nullable=False),
    sa.Column("member_first_day", sa.BigInteger, nullable=False),
    sa.Column("member_last_day", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("public_facets", sa.Text, nullable=False),
    sa.Column("member_facets", sa.Text, nullable=False),
    sa.Column("public_card", sa.LargeBinary, nullable=False),
    sa.Column("member_card", sa.LargeBinary, nullable=False),
)

#: Who looked at what only members see.
looks = sa.Table(
    "looks",
    metadata,
    sa.Column("look", sa.Integer, primary_key=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),  # show, search, export, work, difference
    sa.Column("id", sa.String(80), nullable=False),  # "" for many
    sa.Column("records", sa.BigInteger, nullable=False),
)

signals = sa.Table(
    "signals",
    metadata,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("id", sa.String(80), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

pictures = sa.Table(
    "pictures",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("type", sa.String(20), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

#: The register's own transparency log, where no other is given.
log_entries = sa.Table(
    "log_entries",
    metadata,
    sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)

APPEND_ONLY = ("records", "edits", "acts", "versions", "looks", "log_entries", "pictures", "happened")
#: Contentless: a version's words are indexed under its number and never taken out; an older version is passed over.
INDEXES = ("words_public", "words_member")


def make(on: sa.Connection) -> None:
    """All tables, indexes and triggers, in the caller's transaction."""
    metadata.create_all(on)
    for name in INDEXES:
        on.exec_driver_sql(
            f"CREATE VIRTUAL TABLE {name} USING fts5(tokens, content='', tokenize=\"unicode61 remove_diacritics 0\")"
        )
    for table in APPEND_ONLY:
        _append_only(on, table)


def _append_only(on: sa.Connection, table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        on.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def migrate(on: sa.Connection, old: str) -> bool:
    """Brings a register of an older format to this one, in the caller's transaction: all or nothing. False when there is
    no way from `old`; what is there already is not touched by any step."""
    if old not in ("1", "2"):
        return old == FORMAT
    on.exec_driver_sql("ALTER TABLE tokens ADD COLUMN made_by VARCHAR(64) NOT NULL DEFAULT ''")
    if old == "1":
        metadata.create_all(on, tables=[passkeys, invitations, sessions, answered])
        on.execute(sa.insert(settings), [{"name": "ceremonies", "value": secrets.token_bytes(32)}])
    else:
        on.exec_driver_sql("ALTER TABLE passkeys ADD COLUMN seen BIGINT NOT NULL DEFAULT 0")
        on.exec_driver_sql("ALTER TABLE invitations ADD COLUMN needs_second BOOLEAN NOT NULL DEFAULT 0")
        on.exec_driver_sql("ALTER TABLE invitations ADD COLUMN second_by VARCHAR(64)")
        on.exec_driver_sql("ALTER TABLE invitations ADD COLUMN second_at BIGINT")
    metadata.create_all(on, tables=[happened])
    _append_only(on, "happened")
    _name_the_nameless(on)
    on.execute(sa.update(settings).where(settings.c.name == "format").values(value=FORMAT.encode()))
    return True


def _name_the_nameless(on: sa.Connection) -> None:
    """Victims whose name folds to nothing (accents alone) were one and the same until format 3; now each is itself."""
    shared = sa.or_(*(c.contains('"victim":[""]') for c in (shelf.c.public_facets, shelf.c.member_facets)))
    found = on.execute(
        sa.select(shelf.c.number, versions.c.document)
        .join(versions, versions.c.number == shelf.c.number)
        .where(shared)
    ).all()
    for number, document in found:
        record = decode(bytes(document))
        values = {
            f"{audience}_facets": canonical.dumps(finding.facets(seen_by(record, member=member))).decode()
            for audience, member in (("public", False), ("member", True))
        }
        on.execute(sa.update(shelf).where(shelf.c.number == number).values(**values))
