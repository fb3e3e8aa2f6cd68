"""What a check of one code ends in: `Verified`, or `NotVerified` with the step that failed and why.

Unknown is neither green nor red: nothing that fails ever carries a colour.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Final

from kangma.credential.claims import Kind
from kangma.terms import Moment


class Outcome(StrEnum):
    """What a door is told."""

    VERIFIED = "verified"
    STALE = (
        "stale"  # everything holds, but what the lists know is a day old or more: shown with "stale since"
    )
    NOT_VERIFIED = "not_verified"  # we cannot say; no fault of whoever shows the code
    REFUSED = "refused"  # no valid code: forged, copied, expired, withdrawn


class Colour(StrEnum):
    """What a verified code shows. A notice stands beside green."""

    GREEN = "green"
    NOTICE = "notice"
    YELLOW = "yellow"
    RED = "red"


class Reason(StrEnum):
    """Why a code was not verified; closed, in the order of the steps. docs/formats/verifier.md explains each."""

    NOT_A_CODE = "not_a_code"
    TOO_LONG = "too_long"
    BAD_BASE45 = "bad_base45"
    INFLATES_TOO_MUCH = "inflates_too_much"
    BAD_COSE = "bad_cose"
    WRONG_ALGORITHM = "wrong_algorithm"
    NO_TRUST = "no_trust"
    WRONG_ENVIRONMENT = "wrong_environment"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    WRONG_USE = "wrong_use"
    KEY_NOT_YET = "key_not_yet"
    KEY_OVER = "key_over"
    WRONG_AUTHORITY = "wrong_authority"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIMS = "bad_claims"
    LIVES_TOO_LONG = "lives_too_long"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    NO_PROOF = "no_proof"
    UNEXPECTED_PROOF = "unexpected_proof"
    BAD_PROOF = "bad_proof"
    PROOF_OLD = "proof_old"
    PROOF_AHEAD = "proof_ahead"
    NO_LIST = "no_list"
    BAD_LIST = "bad_list"
    ROLLED_BACK = "rolled_back"
    LIST_OVER = "list_over"
    NO_SUCH_INDEX = "no_such_index"
    WITHDRAWN = "withdrawn"
    UNKNOWN_STATUS = "unknown_status"

    @property
    def step(self) -> int:
        """The step of the verifier that it belongs to, 1 to 9."""
        return _STEPS[self]

    @property
    def outcome(self) -> Outcome:
        """REFUSED where the code is at fault, NOT_VERIFIED where what we know of it does not suffice."""
        return Outcome.NOT_VERIFIED if self in _WE_CANNOT_SAY else Outcome.REFUSED


_FIRST_OF_STEP = {
    Reason.NOT_A_CODE: 1,
    Reason.BAD_COSE: 2,
    Reason.NO_TRUST: 3,
    Reason.BAD_SIGNATURE: 4,
    Reason.BAD_CLAIMS: 5,
    Reason.LIVES_TOO_LONG: 6,
    Reason.NO_PROOF: 7,
    Reason.NO_LIST: 8,
    Reason.WITHDRAWN: 9,
}
_STEPS: dict[Reason, int] = {}
for _reason in Reason:
    _STEPS[_reason] = _FIRST_OF_STEP.get(_reason) or max(_STEPS.values())
_WE_CANNOT_SAY = frozenset(
    {Reason.NO_TRUST, Reason.UNKNOWN_KEY, Reason.UNKNOWN_STATUS} | {r for r in Reason if _STEPS[r] == 8}
)

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Verified:
    """A code that went through all nine steps. Only `Verifier.verify` makes one: what was merely taken apart is of
    another type, and so is what failed.

    A door needs the colour, the mask and the kind together: of paper nobody proved that its bearer is its holder.
    """

    colour: Colour
    kind: Kind
    mask: str
    issuer: str
    valid_until: Moment
    lists_age: int  # seconds since the status list was signed
    stale_since: Moment | None  # not None: what is shown is the last state known, and was current until then
    _: KW_ONLY
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only a verifier makes a Verified")

    @property
    def outcome(self) -> Outcome:
        return Outcome.VERIFIED if self.stale_since is None else Outcome.STALE

    @property
    def check_id_card(self) -> bool:
        """Whether the door must compare with an identity document: paper can be copied."""
        return self.kind is Kind.PAPER


@dataclass(frozen=True, slots=True)
class NotVerified:
    """A code of which nothing is known to hold. It has no colour."""

    reason: Reason

    @property
    def outcome(self) -> Outcome:
        return self.reason.outcome

    @property
    def step(self) -> int:
        return self.reason.step
