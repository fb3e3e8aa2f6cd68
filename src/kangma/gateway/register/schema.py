"""What the API takes and gives, as pydantic models. Those of a record are made from `kangma.incidents.record` itself:
the annotations there are the schema, here they only change their form.

What is sent is read by `kangma.incidents.form`, the one reader; the models of a record say beforehand what it takes.
What is given is made by the same code as everywhere else; tests hold every answer against its model.
"""

# Models are made by `model_of` at run time, which mypy cannot follow into annotations; and a field whose default is None
# is left out of an answer, never null, so its annotation does not say None.
# mypy: disable-error-code="assignment,valid-type"

from __future__ import annotations

import types
from dataclasses import Field as DataField
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from kangma.incidents import form, record, signal
from kangma.incidents.attack import ID as TECHNIQUE
from kangma.incidents.life import Act, Change, Happening, Right, Role, State
from kangma.incidents.record import FIELDS, ITEMS
from kangma.incidents.vocabulary import COUNTRIES, SEVERAL_COUNTRIES, UNKNOWN_COUNTRY, Kind, Level, Unit
from kangma.incidents.words import MOST_LANGUAGES, TAG, Dated, Words


def _whole(pattern: str) -> str:
    return f"^({pattern})$"


_DAY = r"\d{4}(-\d{2}(-\d{2})?)?|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})"
Date = Annotated[
    str,
    Field(
        pattern=_whole(f"({_DAY})(/({_DAY}))?"),
        description="2022, 2022-04, 2022-04-28, 2022-04-28T08:41:00+08:00, or two of them with a slash between.",
    ),
]
_CLOSED: dict[str, Any] = {"additionalProperties": False}
Tag = Annotated[str, StringConstraints(pattern=_whole(TAG.pattern))]
#: Checks of `form.py` by name → what a schema can say of them.
FORMS: dict[str, dict[str, Any]] = {
    "id": {"pattern": _whole(form._ID.pattern), "examples": ["2022-04-28-jiankangbao"]},
    "technique": {"pattern": _whole(TECHNIQUE.pattern), "examples": ["T1498.001"]},
    "decimal": {"pattern": _whole(form._DECIMAL.pattern), "examples": ["1400000"]},
    "sha256": {"pattern": _whole(form._SHA256.pattern)},
    "url": {"pattern": r"^https?://", "examples": ["https://register.example/report"]},
    "country": {"json_schema_extra": {"enum": [*sorted(COUNTRIES), SEVERAL_COUNTRIES, UNKNOWN_COUNTRY]}},
    "picture": {"json_schema_extra": {"enum": ["image/png", "image/jpeg", "image/webp"]}},
}


def _without_defaults(schema: dict[str, Any]) -> None:
    """What says nothing is left out, never null."""
    for told in schema.get("properties", {}).values():
        if told.get("default", 0) is None:
            del told["default"]


class Answer(BaseModel):
    """The root of everything here: closed objects, and fields that may be absent but are never null."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


@cache
def model_of(kind: type) -> type[BaseModel]:
    """A dataclass of the record as a model of the same name."""
    hints = get_type_hints(kind)
    made: dict[str, Any] = {}
    if kind is record.Record:
        made["format"] = (Literal["kangma-incident/1"], None)
    for f in fields(kind):
        required = kind is record.Record and f.name == "id"
        said = f.default if isinstance(f.default, StrEnum) else None  # what it means that nothing is said
        made[f.name] = (_typed(hints[f.name], f), ... if required else said)
    for (
        needed
    ) in form.NEEDED.values():  # what an item must say is said by the form; one alone can be said here
        if len(needed) == 1 and ITEM_OF.get(kind) == needed:
            made[needed[0]] = (made[needed[0]][0], ...)
    return create_model(kind.__name__, __base__=Answer, __doc__=kind.__doc__, **made)


#: Item → the fields of which it must have one, where that is one field.
ITEM_OF: dict[type, tuple[str, ...]] = {
    record.Technique: form.NEEDED["techniques"],
    record.Figure: form.NEEDED["impact"],
    record.Kept: form.NEEDED["kept_working"],
    record.Action: form.NEEDED["actions"],
    record.Related: form.NEEDED["related"],
}


def _typed(hint: Any, f: DataField[Any]) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if f.name == "levels":
        return dict[Annotated[str, Field(json_schema_extra={"enum": list(FIELDS)})], Level]
    if get_origin(hint) is tuple:
        item: Any = _typed(get_args(hint)[0], f)
        return Annotated[list[item], Field(max_length=ITEMS)]
    if hint is Words:
        text = Annotated[str, Field(max_length=f.metadata["most"])]
        return Annotated[dict[Tag, text], Field(max_length=MOST_LANGUAGES, json_schema_extra=_CLOSED)]
    if hint is Dated:
        return Date
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    if is_dataclass(hint):
        return model_of(hint)  # type: ignore[arg-type]  # is_dataclass does not tell mypy that it is a class
    return Annotated[str, Field(max_length=f.metadata["most"], **FORMS.get(f.metadata["form"], {}))]


RecordForm = model_of(record.Record)
_R = RecordForm.model_fields
Moment = Annotated[int, Field(description="Seconds since 1970-01-01T00:00Z.")]
Reasons = Annotated[dict[Tag, str], Field(description="Why, for everybody; of a correction or a withdrawal.")]
Hidden = Annotated[dict[str, int], Field(description="Field → how many things of it only members see.")]
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]
Id = Annotated[str, Field(**FORMS["id"], max_length=80)]

# What is given

Card = create_model(
    "Card",
    __base__=Answer,
    __doc__="A record as lists show it.",
    **{
        name: (_typed(get_type_hints(record.Record)[name], record.Record.__dataclass_fields__[name]), None)
        for name in ("certainty", "kinds", "victim", "date", "location", "summary", "confidentiality", "integrity",
                     "availability", "kept_working")
    },  # type: ignore[call-overload]  # fields by name
    id=(Id, ...),
    version=(int, ...),
    published=(Moment, ...),
    modified=(Moment, ...),
    withdrawn=(bool, None),
    for_members=(Hidden, None),
)  # fmt: skip


class Found(Answer):
    """A page of what was looked for. `counts`: facet → value → how many records it would leave."""

    total: int
    incidents: list[Card]
    counts: dict[str, dict[str, int]]
    next: Annotated[str, Field(description="`after` of the page that follows; empty on the last.")]


class Statement(Answer):
    """What is signed and logged of a version: docs/formats/incident.md."""

    type: Literal["incident"]
    id: Id
    version: int
    change: Change
    at: Moment
    public: str
    whole: str
    previous: str
    reason: Reasons


class Shown(Answer):
    """One version of a record as its viewer sees it, and what holds it to the log."""

    record: RecordForm
    created: Moment
    modified: Moment
    version: int
    withdrawn: bool = None
    member: bool = None
    for_members: Hidden = None
    address: str
    change: Change
    reason: Reasons
    versions: Annotated[int, Field(description="How many there are.")]
    log_index: int
    statement: Statement
    signed: Annotated[Hex, Field(description="COSE_Sign1 of the statement, hex.")]
    salt: Annotated[Hex, Field(description="For members: what `whole` is salted with.")] = None


class PublishedVersion(Answer):
    """One line of a record's history."""

    version: int
    change: Change
    reason: Reasons
    at: Moment
    log_index: int


class History(Answer):
    """A record's versions, oldest first."""

    id: Id
    versions: list[PublishedVersion]


class Changed(Answer):
    """One change: the path, and what was there before and after; null for nothing."""

    path: str
    before: Any
    after: Any


class Differences(Answer):
    """What changed between two versions, or between what is published and a draft."""

    difference: list[Changed]


class Fault(Answer):
    """One thing that is wrong, or lacking."""

    path: str
    code: str = None
    hint: str = None


class Alike(Answer):
    """A record that may be about the same incident; a person decides."""

    id: Id
    score: float
    reasons: list[str]


class Suggested(Answer):
    """Likeliest first."""

    perhaps_the_same: list[Alike]


class Saved(Answer):
    """A draft as it was saved. `edit` is what the next save must name."""

    id: Id
    state: State
    edit: int
    lacking: list[Fault]
    perhaps_the_same: list[Alike] = None


class Merged(Answer):
    """A draft with what another record says besides it, not saved. On the fields in `differ` the draft's own stands."""

    record: RecordForm
    edit: Annotated[int, Field(description="What a save of it must name.")]
    differ: list[Annotated[str, Field(json_schema_extra={"enum": list(FIELDS)})]]


class Done(Answer):
    """One act in a record's life."""

    what: Act
    account: str
    at: Moment
    edit: int
    note: str


class WorkOn(Answer):
    """A record as its editors see it."""

    id: Id
    record: RecordForm
    state: State
    edit: int
    version: int
    change: Change
    reason: Reasons
    authors: list[str]
    acts: list[Done]
    origin: str
    lacking: list[Fault]


class Open(Answer):
    """A record with open work."""

    id: Id
    state: State
    edit: int
    version: int
    change: Change


class Drafts(Answer):
    drafts: list[Open]


class PublishedNow(Answer):
    id: Id
    version: int
    log_index: int


class NotTaken(Answer):
    """A record of an import that was refused; its neighbours were taken."""

    where: str
    faults: list[Fault]


class NotMapped(Answer):
    """Something of a taken record that has no place in ours."""

    where: str
    what: str


class Imported(Answer):
    """What came of an import: nothing of it is dropped silently."""

    opened: list[Id]
    refused: list[NotTaken]
    not_mapped: list[NotMapped]
    not_mapped_further: int
    perhaps_the_same: dict[str, list[Id]]


class Kept(Answer):
    """A picture as a record names it."""

    digest: str
    type: str


class Me(Answer):
    account: str
    organisation: str
    role: Role
    rights: list[Right]


class Account(Answer):
    account: str
    organisation: str
    role: Role
    made_by: str
    made_at: Moment
    closed_at: Moment | None


class Accounts(Answer):
    accounts: list[Account]


class Invited(Answer):
    """A link by which the account enrols a passkey; used once, for a day. It is told this once. With `waits_for_second`
    it is no good before another administrator agreed."""

    account: str
    link: str
    expires_at: Moment
    waits_for_second: bool


class Agreed(Answer):
    account: str
    expires_at: Moment


class Waiting(Answer):
    """An invitation of an account that had a passkey; another administrator is to agree."""

    account: str
    made_by: str
    made_at: Moment
    expires_at: Moment


class WaitingOnes(Answer):
    invitations: list[Waiting]


class Happened(Answer):
    """One thing that was done to an account. `about`: a token, the start of a passkey's id, an account, or nothing."""

    number: int
    at: Moment
    what: Happening
    by: str
    about: str


class Happenings(Answer):
    """Latest first."""

    account: str
    happened: list[Happened]


class Oversight(Answer):
    """What everybody may know of who has the keys: how many administrators, and how often an account that had a passkey
    was invited anew: with a second administrator asked, agreed to by them, and by one alone."""

    administrators: int
    invited_anew: int
    agreed: int
    invited_anew_alone: int


class Token(Answer):
    token: Annotated[str, Field(description="Its public name.")]
    account: str
    scopes: list[Right]
    made_at: Moment
    expires_at: Moment
    closed_at: Moment | None
    made_by: Annotated[str, Field(description="Empty for a token from before this was kept.")]


class Tokens(Answer):
    tokens: list[Token]


class TokenMade(Answer):
    """`secret` is what `Authorization: Bearer` takes. It is told this once."""

    token: str
    secret: str
    account: str
    scopes: list[Right]
    expires_at: Moment


class Look(Answer):
    """Who looked at what only members see. `id` is empty for many at once."""

    look: int
    account: str
    at: Moment
    what: str
    id: str
    records: int


class Looks(Answer):
    looks: list[Look]


class Passkey(Answer):
    id: Hex
    eligible: bool
    backed_up: bool
    made_at: Moment
    used_at: Moment | None


class Passkeys(Answer):
    passkeys: list[Passkey]


class Drafted(Answer):
    """The drafts of these events, opened now or before."""

    drafts: list[Id]


class Key(Answer):
    """What verifies this register's statements and checkpoints, and the log's name."""

    algorithm: str
    key: Hex
    origin: str
    title: str
    base: str


class Options(Answer):
    """What the browser's `navigator.credentials` takes (WebAuthn, binary values in base64url)."""

    publicKey: dict[str, Any]


class SignedIn(Answer):
    account: str
    expires_at: Moment


class Well(Answer):
    status: Literal["ok"]


class Told(BaseModel):
    """A failure (RFC 9457). `code` is closed; nothing of what was sent or is stored is in it."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_without_defaults)
    title: str
    status: int
    code: str
    detail: str = None
    where: str = None
    faults: list[Fault] = None
    edit: int = None
    difference: list[Changed] = None


# What is taken, beside a record


class Asking(BaseModel):
    """The root of what is sent."""

    model_config = ConfigDict(extra="forbid", strict=False)


class Note(Asking):
    note: Annotated[str, Field(max_length=4_000)] = ""


class Returning(Asking):
    note: Annotated[str, Field(min_length=1, max_length=4_000, description="Why, for the editors.")]


class Approving(Note):
    edit: Annotated[int, Field(ge=1, le=2**53, description="The edit that the reviewer read.")]


class Reason(Asking):
    """Why a published record is corrected or withdrawn, for everybody."""

    zh: Annotated[str, Field(min_length=1, max_length=600)]
    en: Annotated[str, Field(min_length=1, max_length=600)]


class NewAccount(Asking):
    account: Annotated[str, Field(min_length=1, max_length=64)]
    organisation: Annotated[str, Field(max_length=200)] = ""
    role: Role


class WhichAccount(Asking):
    account: Annotated[str, Field(min_length=1, max_length=64)]


class NewToken(Asking):
    account: Annotated[str, Field(max_length=64, description="Empty: one's own.")] = ""
    scopes: Annotated[list[Right], Field(min_length=1, max_length=len(Right))]
    days: Annotated[int, Field(ge=1, le=366)] = 90


class Invitation(Asking):
    """Empty: the account that is signed in enrols another passkey."""

    invitation: Annotated[str, Field(max_length=100)] = ""


class Credential(Asking):
    """A public key credential as browsers write it to JSON (WebAuthn Level 3)."""

    credential: dict[str, Any]


class Enrolling(Invitation, Credential):
    pass


class MeasuredFigure(Asking):
    what_zh: Annotated[str, Field(max_length=200)]
    what_en: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=24, pattern=_whole(form._DECIMAL.pattern))]
    unit: Unit


class OurSignal(Asking):
    """One event as a defence saw it: `kangma.incidents.signal.Signal`, times in RFC 3339."""

    source: Annotated[str, Field(min_length=1, max_length=64)]
    event: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Kind
    system: Annotated[str, Field(min_length=1, max_length=200)]
    title: Annotated[str, Field(min_length=1, max_length=400)]
    began: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
    ended: Annotated[str, Field(max_length=40)] = ""
    affected: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=ITEMS)] = []
    kept_working: Annotated[list[Annotated[str, Field(max_length=400)]], Field(max_length=ITEMS)] = []
    figures: Annotated[list[MeasuredFigure], Field(max_length=ITEMS)] = []


class Alert(BaseModel):
    """Of an Alertmanager's webhook; what is not named here is passed over (`kangma.incidents.signal.alerts`)."""

    status: str = "firing"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    startsAt: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    endsAt: str = ""
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{16,64}$")]


class Webhook(BaseModel):
    """Prometheus' Alertmanager, version 4 of its webhook."""

    version: Literal["4"]
    alerts: Annotated[list[Alert], Field(max_length=signal.MOST_ALERTS)]
