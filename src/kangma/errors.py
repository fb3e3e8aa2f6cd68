"""Four kinds of failure. Everything that goes wrong in Kangma is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KangmaError(Exception):
    """The root; never raised itself."""


class Code(StrEnum):
    """Why something from outside was refused. The list is closed; docs/reference/refusals.md explains each.

    A code is safe to tell to anybody: it never carries what was sent.
    """

    # the whole file
    UNREADABLE = "unreadable"  # wrong magic, cut off, or not what its name says
    NOT_UTF8 = "not_utf8"
    NO_HEADER = "no_header"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_COLUMN = "unknown_column"
    MISSING_COLUMN = "missing_column"
    DUPLICATE_COLUMN = "duplicate_column"
    MANIFEST_MISMATCH = "manifest_mismatch"
    # limits, named for the attack that they stop
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_COLUMNS = "too_many_columns"
    LINE_TOO_LONG = "line_too_long"
    VALUE_TOO_LONG = "value_too_long"
    TOO_DEEP = "too_deep"
    TOO_MANY_DIGITS = "too_many_digits"
    INFLATES_TOO_MUCH = "inflates_too_much"
    # one row or message
    WRONG_FIELD_COUNT = "wrong_field_count"
    CUT_OFF = "cut_off"
    MISSING_VALUE = "missing_value"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    BAD_DATE = "bad_date"
    BAD_NUMBER = "bad_number"
    NOT_IN_LIST = "not_in_list"
    BAD_ID_TYPE = "bad_id_type"
    BAD_ID_NUMBER = "bad_id_number"
    ENDS_BEFORE_START = "ends_before_start"
    SAME_OFFICER = "same_officer"
    SAME_PERSON = "same_person"
    PERSON_NOT_ALLOWED = "person_not_allowed"  # a key from a source outside the boundary
    # messages of other standards
    BAD_MESSAGE = "bad_message"
    UNSUPPORTED_MESSAGE = "unsupported_message"
    NOT_A_RESULT = (
        "not_a_result"  # nothing in it that this platform takes: another pathogen, an antibody, a comment
    )
    NO_PERSON = "no_person"
    # the code of a door
    UNKNOWN_VENUE = "unknown_venue"  # of another city, closed, or nobody's
    WRONG_CODE = "wrong_code"  # not the code of that minute
    CODE_TOO_OLD = "code_too_old"
    CODE_AHEAD = "code_ahead"  # of a minute that has not come: a clock is wrong
    # an appeal
    NO_HOLD = "no_hold"  # nothing stands that it could be about
    ALREADY_OPEN = "already_open"
    # the register of incidents
    DUPLICATE_ID = "duplicate_id"
    NOT_ALLOWED = "not_allowed"
    # the policy language
    BAD_POLICY = "bad_policy"
    # what is signed
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    ROLLED_BACK = "rolled_back"  # older than what was seen already
    BAD_TRUST_LIST = "bad_trust_list"  # well-formed, and breaks a rule that every list keeps
    UNTRUSTED = "untrusted"  # too few root keys signed it, or a key that may not
    NOT_NEXT = "not_next"  # a trust list that does not follow on the one before it
    WRONG_BASE = "wrong_base"  # a delta to another list than the one at hand
    BAD_PROOF = "bad_proof"  # of the transparency log
    FEW_WITNESSES = "few_witnesses"


@dataclass(frozen=True, slots=True)
class Where:
    """The place of a fault, as its sender can find it. Never the value itself."""

    file: str | None = None
    line: int | None = None  # 1 is the first line of the file (the header of a table)
    column: str | None = None
    path: str | None = None  # inside a message: "entry[3].resource.status", "PID-3"

    def __str__(self) -> str:
        parts = [self.file, f"line {self.line}" if self.line else None, self.column, self.path]
        return ", ".join(p for p in parts if p)


class Refused(KangmaError):
    """The sender's fault; safe to tell. Parsers raise only this."""

    def __init__(self, code: Code, where: Where | None = None, hint: str = "") -> None:
        self.code, self.where, self.hint = code, where or Where(), hint
        super().__init__(
            f"{code}{f' ({self.where})' if str(self.where) else ''}{f': {hint}' if hint else ''}"
        )

    def __reduce__(self) -> tuple[type[Refused], tuple[Code, Where, str]]:
        return (Refused, (self.code, self.where, self.hint))


class Corrupt(KangmaError):
    """Ours: what we stored is not what we wrote. Stop; do not guess."""


class Conflict(KangmaError):
    """Somebody was first: read again, then decide again."""


class Unavailable(KangmaError):
    """Not now; the same call may go through later."""
