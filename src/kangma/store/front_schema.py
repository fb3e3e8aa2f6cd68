"""The front door's own SQLite file: who is bound to which device, who acts for whom, who looked at whom.

Apart from the registry, so that a flood at the door never holds up evidence. Persons are person numbers; no name, no
document number and no code that was sent is kept here. `looks` are append-only.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa

#: 2: clients, what they send, rides; 3: what partners are told unasked; 4: numbers of sealed slots; 5: of those in care
FORMAT = "5"

metadata = sa.MetaData()

#: format; decoys (the secret by which a binding of nobody looks like one of somebody).
settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

#: Who has bound a document, or is in the care of somebody who has. `slot` is the place in the read model, never used for
#: anybody else; `token_turn` what their tokens must name; `again_until` the last local day for which phones need places
#: of their own (after a loss).
residents = sa.Table(
    "residents",
    metadata,
    sa.Column("slot", sa.Integer, primary_key=True),  # SQLite's rowid: grows from 1
    sa.Column("person", sa.BigInteger, nullable=False, unique=True),
    sa.Column("resident", sa.String(32), nullable=False, unique=True),  # what their own devices call them
    sa.Column("token_turn", sa.Integer, nullable=False),
    sa.Column("again_until", sa.BigInteger),
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),  # grows with whoever comes or leaves
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)

#: A device signs for its new tokens with this key. `signed_at` is the newest moment it signed: none is taken twice.
devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device", sa.String(16), primary_key=True),
    sa.Column("slot", sa.Integer, sa.ForeignKey("residents.slot"), nullable=False),
    sa.Column("public", sa.LargeBinary(33), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("signed_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
)
sa.Index("devices_slot", devices.c.slot)

OWN = -1  # no person's number
#: Devices for which an answer stands sealed in public: their resident's own (`person` -1), or that of somebody in the
#: resident's care, who is in it `since`. The number is what places and keys are drawn from; it grows and is never used
#: for another device, person or care. Where the device was closed or the care has ended, the slot is filled with chance,
#: as all that are nobody's.
sealed = sa.Table(
    "sealed",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # SQLite's rowid: grows from 1
    sa.Column("device", sa.String(16), sa.ForeignKey("devices.device"), nullable=False),
    sa.Column("person", sa.BigInteger, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),  # `made_at` in `others`; 0 for one's own
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("device", "person", "since", name="sealed_once"),
)

#: Codes that are out. `person` null: nobody, and nothing was sent. `slot`: on whose behalf another is asked (consent);
#: null for one's own. Only a keyed digest of the code is kept.
bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("binding", sa.String(22), primary_key=True),
    sa.Column("person", sa.BigInteger),
    sa.Column("slot", sa.Integer),
    sa.Column("digest", sa.LargeBinary(16), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
)
sa.Index("bindings_expire", bindings.c.expires_at)
sa.Index("bindings_person", bindings.c.person, bindings.c.made_at)

#: For whom a resident shows codes: a child (`guardian`, by the evidence) or somebody who agreed (`consent`).
others = sa.Table(
    "others",
    metadata,
    sa.Column("slot", sa.Integer, sa.ForeignKey("residents.slot"), primary_key=True),
    sa.Column("other", sa.Integer, primary_key=True, autoincrement=False),  # 1 to 4
    sa.Column("person", sa.BigInteger, nullable=False),
    sa.Column("how", sa.String(16), nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("how IN ('guardian', 'consent')", name="others_how"),
    sa.UniqueConstraint("slot", "person", name="others_once"),
)
sa.Index("others_person", others.c.person)

#: Who looked at a person, when, and for what. The person sees every row.
looks = sa.Table(
    "looks",
    metadata,
    sa.Column("look", sa.Integer, primary_key=True),
    sa.Column("person", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column(
        "who", sa.String(64), nullable=False
    ),  # a role, or an organisation's public name; never a resident's
    sa.Column("purpose", sa.String(32), nullable=False),
)
sa.Index("looks_person", looks.c.person, looks.c.at)
_looks_at = sa.Index("looks_at", looks.c.at)

#: Who is registered: a source (laboratory, clinic, pharmacy) or a partner. `name` is also the name of a source's feed and
#: what a resident sees of a partner; it is never given to another. `keys` are public keys only.
clients = sa.Table(
    "clients",
    metadata,
    sa.Column("client", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),  # with spaces between
    sa.Column("keys", sa.Text, nullable=False),  # JSON: public JWKs
    sa.Column("zone", sa.String(64)),  # of times without offset in its messages; null: such times are refused
    sa.Column("brake_factor", sa.Integer, nullable=False),  # times the usual; 0: no brake
    sa.Column("brake_floor", sa.Integer, nullable=False),  # so many positives never stop it
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
    sa.CheckConstraint("kind IN ('source', 'partner')", name="clients_kind"),
)

#: Assertions by which tokens were given, until they expire: none is taken twice. Digests only.
assertions = sa.Table(
    "assertions",
    metadata,
    sa.Column("client", sa.Integer, sa.ForeignKey("clients.client"), primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary(16), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
sa.Index("assertions_expire", assertions.c.expires_at)

#: What a source sent under one idempotency key. `after`: the last receipt before it was begun, so that one that became
#: durable just before a kill is found again. begun → taken, refused, or held → released, rejected.
submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("submission", sa.String(32), primary_key=True),
    sa.Column("client", sa.Integer, sa.ForeignKey("clients.client"), nullable=False),
    sa.Column("key", sa.LargeBinary(16), nullable=False),  # digest of the idempotency key
    sa.Column("request", sa.LargeBinary(32), nullable=False),  # digest of kind, form, manifest and body
    sa.Column("said", sa.Text, nullable=False),  # JSON: kind, form, kinds, manifest
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of the body
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("after", sa.BigInteger, nullable=False),
    sa.Column("receipt", sa.BigInteger),
    sa.Column("became", sa.BigInteger),  # the receipt of a held one that was released
    sa.Column("positives", sa.BigInteger, nullable=False),
    sa.Column("problem", sa.Text),  # JSON: code, where, hint of one that was refused whole
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("client", "key", name="submissions_once"),
    sa.CheckConstraint(
        "state IN ('begun', 'taken', 'refused', 'held', 'released', 'rejected')", name="submissions_state"
    ),
)
sa.Index("submissions_receipt", submissions.c.receipt)
sa.Index("submissions_usual", submissions.c.client, submissions.c.at)

#: Who agreed that a held batch is released or rejected: it takes two.
agreements = sa.Table(
    "agreements",
    metadata,
    sa.Column("submission", sa.String(32), sa.ForeignKey("submissions.submission"), primary_key=True),
    sa.Column("what", sa.String(16), primary_key=True),
    sa.Column("officer", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)

#: Consent of a resident to one partner for one ride. Neither the consent nor the partner's name of the ride is kept, only
#: keyed digests of them.
rides = sa.Table(
    "rides",
    metadata,
    sa.Column("ride", sa.String(16), primary_key=True),  # what the resident calls it
    sa.Column("client", sa.Integer, sa.ForeignKey("clients.client"), nullable=False),
    sa.Column("slot", sa.Integer, sa.ForeignKey("residents.slot"), nullable=False),
    sa.Column("named", sa.LargeBinary(16), nullable=False),
    sa.Column("consent", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("withdrawn_at", sa.BigInteger),
    sa.UniqueConstraint("client", "slot", "named", name="rides_once"),
)
sa.Index("rides_of", rides.c.slot, rides.c.expires_at)
sa.Index("rides_open", rides.c.client, rides.c.expires_at)

#: How often a partner asked on a local day.
checks = sa.Table(
    "checks",
    metadata,
    sa.Column("client", sa.Integer, sa.ForeignKey("clients.client"), primary_key=True, autoincrement=False),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("asked", sa.BigInteger, nullable=False),
)

#: Where a partner is told that a code turned.
hooks = sa.Table(
    "hooks",
    metadata,
    sa.Column("client", sa.Integer, sa.ForeignKey("clients.client"), primary_key=True, autoincrement=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("private", sa.Boolean, nullable=False),  # may lie at an address that is not a public one
    sa.Column("made_at", sa.BigInteger, nullable=False),
)

#: Rides of partners with a hook that were asked about, and what their partner knows. Gone when the ride is over.
watches = sa.Table(
    "watches",
    metadata,
    sa.Column("ride", sa.String(16), sa.ForeignKey("rides.ride", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.LargeBinary, nullable=False),  # the partner's own name of the ride, sealed
    sa.Column("told", sa.String(8), nullable=False),
)

#: What partners are still to be told: one for a ride at most, the newest.
messages = sa.Table(
    "messages",
    metadata,
    sa.Column("ride", sa.String(16), sa.ForeignKey("watches.ride", ondelete="CASCADE"), primary_key=True),
    sa.Column("message", sa.String(32), nullable=False, unique=True),
    sa.Column("result", sa.String(8), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("why", sa.String(16)),  # the last try failed
)
sa.Index("messages_due", messages.c.next_at)

APPEND_ONLY = ("looks",)


def make(on: sa.Connection) -> None:
    """All tables, indexes and triggers, in the caller's transaction."""
    metadata.create_all(on)
    for table in APPEND_ONLY:
        on.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    values = {"format": FORMAT.encode(), "decoys": secrets.token_bytes(32)}
    on.execute(sa.insert(settings), [{"name": k, "value": v} for k, v in values.items()])


def migrate(on: sa.Connection, old: str) -> bool:
    """Brings a file of an older format to this one, in the caller's transaction: all or nothing. False when there is no
    way from `old`."""
    if old in ("1", "2", "3", "4"):  # tables came; nothing that was there changes
        if old == "4":  # but this one, which has two more columns
            on.exec_driver_sql("ALTER TABLE sealed RENAME TO sealed_4")
        metadata.create_all(on)
        if old == "4":
            on.exec_driver_sql(
                "INSERT INTO sealed (number, device, person, since, made_at) "
                f"SELECT number, device, {OWN}, 0, made_at FROM sealed_4"
            )
            on.exec_driver_sql("DROP TABLE sealed_4")
        _looks_at.create(on, checkfirst=True)
        on.execute(sa.update(settings).where(settings.c.name == "format").values(value=FORMAT.encode()))
        return True
    return old == FORMAT
