"""What the message formats share: who is meant by an identifier, JSON within limits, rows collected into batches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import SECRETS, Batch, Refusal
from kangma.intake.identity import Keyer, normalised
from kangma.intake.kinds import KINDS
from kangma.intake.limits import Limits
from kangma.terms import Moment, zone

# ----------------------------------------------------------------------------------------------- identifiers

# Identifier type codes (HL7 table 0203, the same in v2 and FHIR) → our document types. Our own type numbers may be
# used as codes, for permits that the table does not know. NI and NNxxx are decided in `person_of`.
IDENTIFIER_TYPES: Final[Mapping[str, str]] = {
    "NNCHN": "10",
    "PPN": "20",
    "10": "10",
    "14": "14",
    "15": "15",
    "16": "16",
    "20": "20",
    "34": "34",
}
# Type codes that name something else than a person: specimen, account, visit, organisation, provider …
NOT_A_PERSON: Final = frozenset(
    (
        *("SID", "USID", "ACSN", "PLAC", "FILL", "OBI", "SHL", "AN", "ANON", "ANC", "AND", "ANT", "VN", "VS"),
        *(
            "XX",
            "FI",
            "FACID",
            "FNID",
            "NPI",
            "PRN",
            "DN",
            "DEA",
            "UPIN",
            "NP",
            "PA",
            "TAX",
            "SNO",
            "UDI",
            "DI",
        ),
    )
)
# National systems of resident identity cards: China's OID for the number of a resident identity card, and names that
# senders write for the issuing country.
RESIDENT_SYSTEMS: Final = frozenset(
    {"2.16.156.10011.1.3", "urn:oid:2.16.156.10011.1.3", "CHN", "CN", "156", "PRC", "中国", "公安部"}
)
_FHIR_PASSPORT = re.compile(r"https?://hl7\.org/fhir/sid/passport-[A-Za-z]{3}")
_RESIDENT_FORM = re.compile(r"[0-9]{17}[0-9Xx]")
_PLACEHOLDERS = frozenset(
    (
        *(
            "REDACTED",
            "UNKNOWN",
            "UNK",
            "N/A",
            "NA",
            "NONE",
            "NULL",
            "NIL",
            "ANONYMOUS",
            "ANONYMOUSPATIENT",
            "TEST",
        ),
        *(
            "DUMMY",
            "DECLINED",
            "REFUSED",
            "NOTGIVEN",
            "PATIENT",
            "MASKED",
            "CONFIDENTIAL",
            "不详",
            "未知",
            "无",
        ),
    )
)
# Longer authorities are replaced by a digest: a number has 64 characters at most.
AUTHORITY_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier as sent: the number, who issued it, and its type code (both may be empty)."""

    number: str
    authority: str
    type_code: str
    path: str


def is_placeholder(number: str) -> bool:
    """Whether this stands for "no number": REDACTED, UNKNOWN, 0, 999-99-9999 …"""
    plain = "".join(c for c in number.upper() if c.isalnum() or c == "/")
    if not plain.strip("/0X") or plain in _PLACEHOLDERS:
        return True
    return len(plain) >= 4 and len(set(plain)) == 1


def local_number(authority: str, number: str) -> str:
    """The number of type 99 under which a local identifier is known, so that two issuers' never meet."""
    name = authority.strip()
    if len(name) > AUTHORITY_CHARACTERS or "|" in name:
        name = sha256(name.encode()).hexdigest()[:AUTHORITY_CHARACTERS]
    return f"{name}|{number.strip()}"


def person_of(identifiers: Iterable[Identifier], *, spoken_of: Iterable[str] = ()) -> tuple[str, str]:
    """(id_type, normalised id_number) of the person whom these identifiers name.

    A resident identity number outranks a passport or permit, and these outrank a local number. `spoken_of` are numbers
    of the specimen, the order and the message: an identifier without a type that contains one of them names that.
    Raises Refused: bad_id_number where the best identifier is wrong (a worse one would make another person of the
    same human), no_person where none can be used.
    """
    of_things = [t for t in spoken_of if len(t) >= 4]
    found: list[tuple[int, str, str, str]] = []
    for each in identifiers:
        number, code = printable(each.number), each.type_code.strip().upper()
        if is_placeholder(number) or code in NOT_A_PERSON:
            continue
        authority = printable(each.authority)
        if not code and any(t in number for t in of_things):
            continue
        resident = authority in RESIDENT_SYSTEMS
        national = code == "NI" and (resident or _RESIDENT_FORM.fullmatch(number))
        if national or (not code and authority.endswith("2.16.156.10011.1.3")):
            code = "NNCHN"
        elif _FHIR_PASSPORT.fullmatch(authority):
            code = "PPN"
        known = IDENTIFIER_TYPES.get(code)
        if known is None:
            if not authority and not (code.startswith("NN") and len(code) == 5):
                continue
            found.append((2, "99", local_number(authority or code, number), each.path))
        else:
            found.append((0 if known == "10" else 1, known, number, each.path))
    if not found:
        raise Refused(Code.NO_PERSON, hint="no identifier that names a person")
    rank, id_type, number, path = min(found, key=lambda f: f[0])
    try:
        best = normalised(id_type, number)
        rivals = {normalised(t, n) for r, t, n, _ in found if r == rank and t == id_type and rank < 2}
    except Refused as problem:
        raise Refused(problem.code, Where(path=path), problem.hint) from None
    if len(rivals) > 1:
        raise Refused(Code.BAD_ID_NUMBER, Where(path=path), "two different numbers of one type")
    return best


# ----------------------------------------------------------------------------------------------------- times


def local_moment(day: date, at: time | None, offset: int | None, default_zone: str | None) -> Moment:
    """The moment of a local day and time of day; without a time of day, the first moment of that day.

    That a day stands for its first moment is meant: a sample that is only dated never looks fresher than it is.
    `offset` is seconds east of UTC; without it the zone decides. Raises Refused(time_without_offset) without either.
    """
    if offset is not None:
        info: timezone | ZoneInfo = timezone(timedelta(seconds=offset))
    elif default_zone is not None:
        if at is None:
            named = zone(default_zone)
            return named.midnight((day - date(1970, 1, 1)).days)
        info = ZoneInfo(default_zone)
    else:
        raise Refused(Code.TIME_WITHOUT_OFFSET, hint="an offset from UTC is needed")
    wall = datetime.combine(day, at or time(), info)
    return int((wall - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


SETTLED: Final = 1 << 40  # above every moment


def version(at: Moment | None, *, settled: bool, corrected: bool = False) -> int:
    """A document's version, so that the order of arrival does not matter: final outranks preliminary, then later
    outranks earlier, then a correction outranks what it corrects."""
    return (SETTLED if settled else 0) + max(at or 0, 0) * 2 + (1 if corrected else 0)


# ------------------------------------------------------------------------------------------------------ JSON

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
CONTAINERS: Final = 1_000_000  # objects and lists in one JSON text: an empty one is 2 bytes and costs 60
_LONG_NUMBER = "more digits than any quantity has"


def parse_json(source: bytes, limits: Limits) -> Any:
    """The value of a JSON text (RFC 8259, UTF-8, a byte order mark tolerated).

    Raises Refused: too_many_bytes, too_many_rows, not_utf8, too_deep, too_many_digits, unreadable (also for NaN, a
    name twice in one object, and whatever follows the value). Nesting is counted before the parser runs, whose own
    stack would end first.
    """
    if len(source) > limits.message_bytes:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {limits.message_bytes} bytes")
    text = source.removeprefix(b"\xef\xbb\xbf")
    depth = opened = 0
    for token in _TOKENS.finditer(text):
        sign = text[token.start()]
        if sign in b"[{":
            depth += 1
            opened += 1
            if opened > CONTAINERS:
                raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {CONTAINERS} objects and lists")
            if depth > limits.depth:
                raise Refused(Code.TOO_DEEP, hint=f"nested deeper than {limits.depth} levels")
        elif sign in b"]}":
            depth -= 1

    def number(kind: type[int] | type[float], digits: str) -> int | float:
        if sum(c.isdigit() for c in digits[:256]) > limits.digits or len(digits) > 256:
            raise Refused(Code.TOO_MANY_DIGITS, hint=_LONG_NUMBER)
        return kind(digits)

    def constant(_: str) -> None:
        raise Refused(Code.UNREADABLE, hint="NaN and Infinity are not JSON")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Refused(Code.UNREADABLE, hint="a name stands twice in one object")
        return made

    try:
        return json.loads(
            text.decode("utf-8"),
            parse_int=lambda d: number(int, d),
            parse_float=lambda d: number(float, d),
            parse_constant=constant,
            object_pairs_hook=members,
        )
    except UnicodeDecodeError:
        raise Refused(Code.NOT_UTF8, hint="JSON is UTF-8") from None
    except (ValueError, RecursionError):
        raise Refused(Code.UNREADABLE, hint="not JSON") from None


# --------------------------------------------------------------------------------------------------- batches


@dataclass
class Pile:
    """Documents of one input on their way into batches, by kind. Counts are kept by construction."""

    keyer: Keyer
    limits: Limits
    _rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _secrets: dict[str, dict[bytes, dict[str, Any]]] = field(default_factory=dict)
    _refused: dict[str, list[Refusal]] = field(default_factory=dict)

    def check(self, kind: str, row: Mapping[str, Any]) -> None:
        """Raises Refused for a text that is too long or a span that ends before its start."""
        most = self.limits.value_bytes
        for value in row.values():
            # Four bytes a character at most: short texts need not be encoded to be measured.
            if isinstance(value, str) and len(value) * 4 > most and len(value.encode()) > most:
                raise Refused(Code.VALUE_TOO_LONG, hint=f"at most {most} bytes in one value")
        for start, end in KINDS[kind].spans:
            first, last = row.get(start), row.get(end)
            if first is not None and last is not None and last < first:
                raise Refused(Code.ENDS_BEFORE_START, hint=f"{end} is before {start}")

    def accept(self, kind: str, row: dict[str, Any], persons: Iterable[Mapping[str, Any]] = ()) -> None:
        """`row` by stored column name; `persons` are rows of SECRETS. Raises Refused as `check` does."""
        self.check(kind, row)
        self._rows.setdefault(kind, []).append(row)
        for secret in persons:
            sealed = self._secrets.setdefault(kind, {})
            sealed[secret["person"]] = {**sealed.get(secret["person"], {}), **secret}

    def refuse(self, kind: str, refusal: Refusal) -> None:
        self._refused.setdefault(kind, []).append(refusal)

    @property
    def waiting(self) -> int:
        """Documents that no batch has taken yet."""
        return sum(map(len, self._rows.values())) + sum(map(len, self._refused.values()))

    def batches(self) -> Iterator[Batch]:
        """What waits, one batch a kind, and an empty pile."""
        for kind in KINDS:
            rows, refused = self._rows.pop(kind, []), tuple(self._refused.pop(kind, ()))
            secrets = list(self._secrets.pop(kind, {}).values())
            if rows or refused:
                yield Batch(
                    kind=kind,
                    accepted=pa.RecordBatch.from_pylist(rows, schema=KINDS[kind].schema),
                    secrets=pa.RecordBatch.from_pylist(secrets, schema=SECRETS) if secrets else None,
                    refused=refused,
                    received=len(rows) + len(refused),
                )


def printable(text: str) -> str:
    """Text as it may be stored: without control characters and lone surrogates, white space at the ends removed."""
    if not text.isprintable():
        text = "".join(filter(str.isprintable, text))
    return text.strip()
