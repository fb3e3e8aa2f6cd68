"""What is sent and answered, closed: a field that is not here is refused, and none that is not here is ever answered.

Moments in answers are ISO 8601 with the city's offset. Sentences for people are in Chinese and English.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kangma.store.front import MOST_OTHERS

Hex33 = Annotated[
    str, Field(pattern=r"^0[23][0-9a-f]{64}$", description="A P-256 key: compressed point, hex.")
]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$", description="An ES256 signature, r and s, hex.")]
Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Time = Annotated[str, Field(description="ISO 8601 with offset.")]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(Closed):
    zh: str
    en: str


# asked ---------------------------------------------------------------------------------------------------------------


class Named(Closed):
    """A document and the name on it."""

    id_type: Annotated[
        str, Field(max_length=4, description="10, 14, 15, 16, 20, 34 or 99: docs/reference/kinds.md.")
    ]
    id_number: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=120)]


class Confirming(Closed):
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    device_key: Hex33


class Renewing(Closed):
    """`signature` by the device's key over the UTF-8 text `KM1 token`, a space, `resident`, a space, `at` in decimal."""

    resident: Hex16
    at: Annotated[int, Field(ge=0, le=2**40, description="Seconds since 1970, now.")]
    signature: Hex64


class Holders(Closed):
    holders: Annotated[
        list[Hex33],
        Field(min_length=1, max_length=3, description="A fresh key for today and each day ahead."),
    ]


class AskingPlaces(Closed):
    """`key`: of ECDH, the phone's own. `signature` by the device's key over the UTF-8 text `KM1 slots`, a space, the
    resident, a space, `key`, a space, `at` in decimal. For one of those in your care the resident is followed by `/` and
    the number of their place."""

    key: Hex33
    at: Annotated[int, Field(ge=0, le=2**40, description="Seconds since 1970, now.")]
    signature: Hex64


#: A partner's own name of a ride: drawn by chance, longer than any document or phone number.
RIDE = r"^[A-Za-z0-9_-]{20,64}$"
RideName = Annotated[
    str, Field(pattern=RIDE, description="The partner's own name of a ride, drawn by chance.")
]


class Riding(Closed):
    partner: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    ride: RideName


class Consented(Closed):
    consent: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{32}$")]


class Checking(Consented):
    ride: RideName


class Checks(Closed):
    checks: Annotated[list[Checking], Field(min_length=1, max_length=400)]


class Assertion(Closed):
    """RFC 6749, 4.4 with RFC 7523, 2.2."""

    grant_type: Annotated[str, Field(description="client_credentials")]
    client_assertion_type: Annotated[
        str, Field(description="urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    ]
    client_assertion: Annotated[
        str,
        Field(
            max_length=4_096,
            description="A JWT, ES256 or EdDSA: iss and sub the client's name, aud this address, exp at most five "
            "minutes ahead, jti new.",
        ),
    ]
    client_id: str | None = None
    scope: Annotated[
        str | None, Field(description="With spaces between; all of the client's without it.")
    ] = None


class Agreed(Closed):
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class Scan(Closed):
    """A door's code as a phone read or typed it. `minute`: as the QR says it, or the phone's own when it was typed."""

    venue: Annotated[str, Field(pattern=r"^[0-9]{8}$")]
    minute: Annotated[int, Field(ge=0, le=2**31, description="Whole minutes since 1970.")]
    code: Annotated[str, Field(pattern=r"^[0-9]{8}$")]


class ScanningIn(Closed):
    """`entered`: the scan by which you came; sent again with `left`, the later scan that ended the visit."""

    entered: Scan
    left: Scan | None = None


class Wrong(Closed):
    """The evidence that is wrong, as far as the resident can name it: a test, a visit, or what the hold says of
    itself."""

    kind: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$", description="docs/reference/kinds.md")]
    what: Annotated[str | None, Field(max_length=64, description="Such as the number of the specimen.")] = (
        None
    )
    at: Annotated[str | None, Field(max_length=32, description="When it is said to have been.")] = None


class Appealing(Closed):
    """`rule` and `since` as the hold has them. `text` in the resident's words: no names of others, please."""

    rule: Annotated[str, Field(min_length=1, max_length=64)]
    since: Annotated[str, Field(max_length=32, description="ISO 8601 with offset.")]
    why: Literal["not_me", "not_there", "wrong_result", "done", "wrong_place", "other"]
    text: Annotated[str, Field(max_length=500)] = ""
    evidence: Wrong | None = None


class Nothing(Closed):
    """An empty object, or no body at all."""


# answered ------------------------------------------------------------------------------------------------------------


class Binding(Closed):
    """The same for everybody. A code was sent if the document is known and the name is the one on it."""

    binding: str
    expires_at: Time


class Bound(Closed):
    """`device`: how the list of devices calls this one."""

    token: str
    expires_at: Time
    resident: str
    name_mask: str
    device: str


class Token(Closed):
    """`device`: how the list of devices calls the one that signed."""

    token: str
    expires_at: Time
    device: str


class DeviceSaid(Closed):
    """`seen_at`: when the device last renewed its token by its key, about once a month. Being
    used in between does not change it."""

    device: str
    bound_at: Time
    seen_at: Time


class Devices(Closed):
    devices: list[DeviceSaid]


class Notice(Closed):
    code: str
    kind: Literal["popup", "remind"]
    rule: str


Outcome = Literal["red", "yellow", "popup", "remind", "unknown"]


class HoldSaid(Closed):
    rule: str
    outcome: Outcome
    since: Time
    until: Time | None
    cap: Time | None
    capped: bool
    evidence: str
    authority: str
    authority_name: Words
    reason: Words
    way_out: Words
    clears: list[Words]
    test_days: list[int]
    test_dates: list[str]
    then: str | None


class Instead(Words):
    """What does as well, in one line. `since`: from when on it counts; `until`: how long a wait lasts. Both null: nobody
    can date it yet."""

    kind: Literal["test", "report", "register", "paper", "wait", "event"]
    since: Time | None
    until: Time | None


class TestsAsked(Closed):
    """Each at least `apart_hours` after the one before. `single`: one of a tube that others share does not count."""

    count: int
    apart_hours: int
    single: bool


class Step(Closed):
    """One thing to do, in one line. `since`: from when on it counts, at or before `as_of` at once; `until`: before when a
    test is to be taken, and how long a wait lasts. Both null: nobody can date it yet. `event`: what is not in the
    resident's hands, such as a discharge. `or`: what does as well."""

    kind: Literal["test", "report", "register", "paper", "wait", "event"]
    zh: str
    en: str
    since: Time | None
    until: Time | None
    tests: TestsAsked | None
    or_: Annotated[list[Instead], Field(alias="or")]


class Leg(Closed):
    """The way to the next better state, its heading in words; `notice`: a green code beside which a notice stands.
    `earliest`: when it is reached if each step is done on its first date, at or before `as_of` at once; null: nobody can
    date it. `by_itself`: when the same comes by waiting alone; null: never, or nobody can date it. `or` says that in
    words."""

    to: Literal["yellow", "notice", "green"]
    zh: str
    en: str
    earliest: Time | None
    by_itself: Time | None
    steps: list[Step]
    or_: Annotated[list[Instead], Field(alias="or")]


class Nat(Closed):
    """The last test with a result. `days` since a negative one. `pooled` and positive: the tube was, which says of nobody
    in it that they are; a single test of their own does."""

    result: str
    sampled_at: Time | None
    reported_at: Time
    days: int | None
    pooled: bool = False


class PolicySaid(Closed):
    id: str
    version: str
    digest: str


class CodeSaid(Closed):
    """A code: what, why, the way out and the end. It holds as at `as_of`, the moment of `release`. `way`: the legs to
    each better state in their order, empty where nothing is in the way, null where nothing is known of the person."""

    colour: Literal["green", "yellow", "red", "unknown"]
    notices: list[Notice]
    holds: list[HoldSaid]
    more_holds: int = 0
    way: list[Leg] | None
    next_change_at: Time | None
    nat: Nat | None
    vaccination: Literal["none", "partial", "basic", "booster"]
    policy: PolicySaid
    name_mask: str
    as_of: Time
    release: int


class TestSaid(Closed):
    specimen_id: str | None
    sampled_at: Time | None
    reported_at: Time
    method: str
    pooled: bool
    result: str
    lab: str


class Tests(Closed):
    tests: list[TestSaid]


class Dose(Closed):
    product: str
    dose: int
    given_on: str


class Vaccinations(Closed):
    vaccinations: list[Dose]


class VisitSaid(Closed):
    """`visit` and `sealed` for what a phone scanned in: the door does not know who came, and until tracing took it in,
    sealed, neither did this door."""

    visit: str | None
    sealed: bool
    place: str | None
    kind: str | None
    district: str | None
    entered_at: Time
    left_at: Time
    source: str


class Visits(Closed):
    visits: list[VisitSaid]


class ScannedIn(Closed):
    """The visit is on the disk. `assumed`: nobody ended it yet, and `left_at` is how long the place's visits are
    taken to be. `late`: it was kept on the phone. `result`: what the door sees; null where nobody stands there any
    more."""

    visit: str
    place: str
    entered_at: Time
    left_at: Time
    assumed: bool
    late: bool
    result: Literal["pass", "wait", "unknown"] | None
    sealed: Literal[True]


class VenueCounts(Closed):
    passed: Annotated[int, Field(alias="pass")]
    wait: int
    unknown: int
    left: int
    late: int


class Came(Closed):
    at: Annotated[int, Field(description="Seconds since 1970.")]
    result: Literal["pass", "wait", "unknown"]


class VenueSaid(Closed):
    """How many came to a door; nobody is in it. `now` for the device's clock."""

    venue: str
    name: str
    now: int
    today: VenueCounts
    recent: list[Came]


class AppealStep(Closed):
    at: Time
    who: Literal["resident", "machine", "officer"]
    what: Literal[
        "filed",
        "stands",
        "gone",
        "looked",
        "proposed",
        "returned",
        "granted",
        "dismissed",
        "settled",
        "withdrawn",
    ]


class AppealSaid(Closed):
    """`machine`: what deriving the code again gave at once. `answer_by`: until when people answer; `late`: they have not.
    `follows`: the evidence that an appeal which was granted led to. `text` is null once it is deleted."""

    appeal: str
    rule: str
    since: Time
    outcome: Outcome
    why: Literal["not_me", "not_there", "wrong_result", "done", "wrong_place", "other"]
    text: str | None
    evidence: Wrong | None
    state: Literal["open", "proposed", "granted", "dismissed", "settled", "withdrawn"]
    filed_at: Time
    answer_by: Time
    late: bool
    closed_at: Time | None
    machine: Literal["stands", "gone"]
    answer: str | None
    follows: Literal["clearance", "retraction"] | None
    steps: list[AppealStep]


class AppealsSaid(Closed):
    appeals: list[AppealSaid]


class LookSaid(Closed):
    at: Time
    who: str
    purpose: str


class Looks(Closed):
    looks: list[LookSaid]


class Credential(Closed):
    day: str
    text: Annotated[str, Field(description="The COSE_Sign1, base64url without padding.")]


class Places(Closed):
    """Places of sealed slots: docs/formats/sealed.md."""

    sealed: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_-]+$", description="HPKE message for `key`, base64url without padding."),
    ]


class Credentials(Closed):
    credentials: list[Credential]


class Paper(Closed):
    text: str
    png: Annotated[str, Field(description="base64")]
    pdf: Annotated[str, Field(description="base64, one page of A4")]
    valid_until: Time


class OtherSaid(Closed):
    other: Annotated[int, Field(ge=1, le=MOST_OTHERS)]
    how: Literal["guardian", "consent"]
    name_mask: str
    since: Time


class Others(Closed):
    others: list[OtherSaid]


class CarerSaid(Closed):
    carer: str
    how: Literal["guardian", "consent"]
    since: Time


class Carers(Closed):
    carers: list[CarerSaid]


class Consent(Closed):
    """`consent` goes to the partner's app; `ride` is what the resident calls it."""

    consent: str
    ride: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    expires_at: Time


class RideSaid(Closed):
    ride: str
    partner: str
    since: Time
    expires_at: Time


class Rides(Closed):
    rides: list[RideSaid]


class Checked(Closed):
    """All that a partner is ever told. `expires_at` is the same for everybody at a time."""

    result: Literal["pass", "refuse", "unknown"]
    expires_at: Time


class ManyChecked(Closed):
    """In the order in which it was asked."""

    checks: list[Checked]


class Turned(Checked):
    """All that a partner is told unasked: what it would be told if it asked about this ride now."""

    ride: RideName


class KeySaid(Closed):
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str


class Keys(Closed):
    """RFC 7517."""

    keys: list[KeySaid]


class Access(Closed):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class NoAccess(Closed):
    """RFC 6749, 5.2."""

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]
    error_description: str


class ReceiptSaid(Closed):
    """received = accepted + duplicate + refused + quarantined. `rejects`: where the refused rows are listed. `held` waits
    for two people; released, its rows are in the receipt `became`."""

    receipt: int
    kind: str
    received: int
    accepted: int
    duplicate: int
    refused: int
    quarantined: int
    rejects: str | None
    state: Literal["taken", "refused", "held", "released", "rejected"]
    became: int | None


class Reject(Closed):
    """`column` where one is at fault; without it the row is, as a whole. `line` where the form has lines."""

    row: int
    line: int | None = None
    column: str | None = None
    code: str


class Rejects(Closed):
    """The first thousand at most: place and code, never a value."""

    receipt: int
    refused: int
    rejects: list[Reject]


class Export(Closed):
    """Everything about one resident. `known`: kind of document → what each says of them."""

    made_at: Time
    code: CodeSaid | None
    known: dict[str, list[dict[str, str | int | bool | None]]]
    visits: list[VisitSaid]
    devices: list[DeviceSaid]
    others: list[OtherSaid]
    looks: list[LookSaid]
    appeals: list[AppealSaid]


class WorkSet(Closed):
    """Proof of work that is asked for (`kangma.gateway.front.defence.work`): find the number."""

    algorithm: Literal["SHA-256"]
    challenge: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    maxnumber: int
    salt: str
    signature: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FaultSaid(Closed):
    """What is wrong where: the path of a field or parameter, and which rule. Never what was sent."""

    path: str
    code: str
    hint: str


class ProblemSaid(Closed):
    """RFC 9457. `code`: docs/reference/refusals.md."""

    title: str
    status: int
    code: str
    detail: str | None = None
    where: str | None = None
    faults: list[FaultSaid] | None = None
    work: WorkSet | None = None
    receipt: Annotated[int | None, Field(description="Of a batch that was refused whole.")] = None
