"""HL7 v2 laboratory reports (ORU^R01, 2.3 to 2.5.1) → tests. docs/formats/hl7v2.md says what is taken and what is not.

One order (OBR) with its observations of one method is one result, and one document. Everything in a message that
colours nobody (another pathogen, an antibody, an asked question) is passed over; a message with no SARS-CoV-2 result
at all is one refusal. Splitting is lazy: a message of separators costs no more memory than its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from hashlib import sha256
from typing import Final, Literal

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import Batch, Refusal
from kangma.intake.identity import Keyer
from kangma.intake.limits import Limits
from kangma.intake.loinc import CODES, LOINC, Assay, Codes, Method, Result, fold, system
from kangma.intake.messages import Identifier, Pile, local_moment, person_of, printable, version
from kangma.terms import DAY, Moment

VERSIONS: Final = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
START, END = b"\x0b", b"\x1c\r"  # MLLP: one message between them

# MSH-18 (table 0211) → Python codec. ASCII is read as the UTF-8 that contains it.
_CHARACTER_SETS: Final = {
    "": "utf-8",
    "ASCII": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "latin-1",
    "GB 18030-2000": "gb18030",
}

# OBX-11 (table 0085): what the status does to the answer. None: the answer stands as sent.
_STATUS: Final[dict[str, Result | None]] = {
    "F": None,
    "C": None,
    "U": None,  # final now, sent before as preliminary
    "P": "pending",
    "R": "pending",  # entered, not verified
    "S": "pending",  # partial
    "I": "pending",  # specimen in the laboratory
    "X": "invalid",  # cannot be obtained
    "D": "invalid",  # deletes the observation: the specimen has no result any more
    "W": "invalid",  # was posted wrong, e.g. for another patient
}
_NO_RESULT = {"O": "an order detail, not a result", "N": "not asked"}
_CODED = {"CE", "CWE", "CNE", "CF"}
_WORDED = {"ST", "TX", "FT", "IS", "ID"}

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=\W|_|\Z)")
_TS = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_LINE = re.compile(rb"[^\r\n]+")
_BATCH_ROWS = 8_192

# What a message may have of each, so that reading it costs no more than its bytes. Real ones have far fewer.
SEGMENTS: Final = 20_000
FIELDS: Final = 100  # in one segment; the longest of 2.5.1 has 50. Later ones stay unsplit in the last
REPETITIONS: Final = 100  # of one field

Row = dict[str, str | int | bool | bytes | None]


# --------------------------------------------------------------------------------------------------- message


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    fields: list[str]  # fields[i] is field i, as in the standard: fields[1] of MSH is the separator itself
    line: int

    def raw(self, number: int) -> str:
        return self.fields[number] if number < len(self.fields) else ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message with its own separators. `part` reads one piece and undoes the escapes."""

    segments: list[Segment]
    component: str
    repetition: str
    escape: str
    subcomponent: str

    @property
    def header(self) -> Segment:
        return self.segments[0]

    def repetitions(self, segment: Segment, number: int) -> list[str]:
        """Raises Refused for more than REPETITIONS."""
        found = segment.raw(number).split(self.repetition, REPETITIONS)
        if len(found) > REPETITIONS:
            where = Where(line=segment.line, path=f"{segment.name}-{number}")
            raise Refused(Code.VALUE_TOO_LONG, where, f"at most {REPETITIONS} repetitions of one field")
        return found

    def piece(self, field: str, component: int, sub: int | None = 1) -> str:
        """One component of a field (or its first subcomponent, or with `sub` None the whole of it), unescaped."""
        parts = field.split(self.component, component)
        text = parts[component - 1] if component <= len(parts) else ""
        if sub is not None and self.subcomponent:
            subs = text.split(self.subcomponent, sub)
            text = subs[sub - 1] if sub <= len(subs) else ""
        text = self.unescape(text).strip()
        return "" if text == '""' else text

    def part(self, segment: Segment, number: int, component: int = 1, sub: int | None = 1) -> str:
        return self.piece(segment.raw(number).split(self.repetition, 1)[0], component, sub)

    def unescape(self, text: str) -> str:
        """Escape sequences of chapter 2.10 undone: separators, and bytes in hexadecimal; others are removed."""
        if not self.escape or self.escape not in text:
            return text
        named = {
            "F": self.header.fields[1],
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
        }
        pieces = text.split(self.escape)
        made = [pieces[0]]
        for i in range(1, len(pieces) - 1, 2):
            inner = pieces[i]
            if inner in named:
                made.append(named[inner])
            elif inner[:1] == "X" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", inner[1:]):
                made.append(bytes.fromhex(inner[1:]).decode("utf-8", "replace"))
            made.append(pieces[i + 1])
        if len(pieces) % 2 == 0:  # an escape that nothing closes stands for itself
            made.append(self.escape + pieces[-1])
        return "".join(made)


def parse_message(text: str, lines: Sequence[int] | None = None) -> Message:
    """The segments of one message, one a line; `lines` are their lines in the file. Raises Refused(bad_message)."""
    numbers = lines or range(1, text.count("\n") + 2)
    line = numbers[0]
    if len(text) < 8 or text[:3] != "MSH":
        raise Refused(Code.BAD_MESSAGE, Where(line=line), "a message begins with MSH")
    separator = text[3]
    end = text.find(separator, 4)
    marks = text[4:end] if end > 0 else ""
    if not 2 <= len(marks) <= 5 or any(c.isalnum() or c.isspace() for c in separator + marks):
        raise Refused(
            Code.BAD_MESSAGE, Where(line=line, path="MSH-2"), "the encoding characters are not readable"
        )
    if len({separator, *marks[:4]}) != 1 + len(marks[:4]):
        raise Refused(
            Code.BAD_MESSAGE, Where(line=line, path="MSH-2"), "one encoding character stands for two"
        )
    segments: list[Segment] = []
    for number, row in zip(numbers, text.split("\n"), strict=True):
        if not row.strip():
            continue
        if not _SEGMENT.match(row) or (len(row) > 3 and row[3] != separator):
            raise Refused(Code.BAD_MESSAGE, Where(line=number), "a line that is not a segment")
        fields = row.split(separator, FIELDS)
        if row.startswith("MSH"):
            if segments:
                raise Refused(Code.BAD_MESSAGE, Where(line=number), "a second MSH")
            fields.insert(1, separator)
        segments.append(Segment(fields[0], fields, number))
    # A fifth character (#, truncation, 2.7) has no meaning in these versions and is tolerated.
    return Message(segments, marks[0], marks[1], marks[2:3], marks[3:4])


# ------------------------------------------------------------------------------------------------------ file


@dataclass(frozen=True, slots=True)
class _Piece:
    """One message's bytes: its segments joined by LF, and the lines of the file on which they stand."""

    content: bytes
    lines: list[int]
    fault: Refused | None  # why it is not whole


@dataclass
class _Pieces:
    """The messages of a file as its lines come, each held within limits."""

    limits: Limits
    count: int = 0
    _whole: list[_Piece] = field(default_factory=list)
    _lines: list[bytes] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)
    _size: int = 0
    _fault: Refused | None = None

    @property
    def open(self) -> bool:
        return bool(self._lines)

    def add(self, line: bytes, number: int) -> None:
        self._size += len(line) + 1
        if len(line) > self.limits.line_bytes:
            hint = f"at most {self.limits.line_bytes} bytes in one segment"
            self._fault = Refused(Code.LINE_TOO_LONG, Where(line=number), hint)
        elif self._size > self.limits.message_bytes:
            hint = f"at most {self.limits.message_bytes} bytes in one message"
            self._fault = Refused(Code.TOO_MANY_BYTES, hint=hint)
        elif len(self._lines) >= SEGMENTS:
            self._fault = Refused(Code.TOO_MANY_ROWS, hint=f"at most {SEGMENTS} segments in one message")
        if self._fault is None or not self._lines:
            self._lines.append(line)
            self._numbers.append(number)

    def close(self, *, cut_off: bool) -> None:
        if not self._lines:
            return
        if cut_off and self._fault is None:
            self._fault = Refused(Code.CUT_OFF, hint="the end of the MLLP frame is missing")
        self._whole.append(_Piece(b"\n".join(self._lines), self._numbers, self._fault))
        self.count += 1
        if self.count > self.limits.rows:
            raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {self.limits.rows} messages")
        self._lines, self._numbers, self._size, self._fault = [], [], 0, None

    def done(self) -> list[_Piece]:
        """The messages that have been closed since the last call."""
        done, self._whole = self._whole, []
        return done


def _lines_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) of each line that is not empty."""
    number, at = 1, 0
    for line in _LINE.finditer(content):
        gap = content[at : line.start()]
        number += gap.count(b"\r") + gap.count(b"\n") - gap.count(b"\r\n")
        at = line.end()
        yield number, line[0]


def _pieces(source: bytes, limits: Limits) -> Iterator[_Piece]:
    """The messages of a file. Raises Refused for a file that is none, or not whole."""
    if len(source) > limits.file_bytes:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {limits.file_bytes} bytes")
    pieces = _Pieces(limits)
    opened, closed, batches = 0, 0, 0
    begun: list[int] = []  # messages before each batch that is open
    in_file = False
    for number, raw in _lines_of(source.removeprefix(b"\xef\xbb\xbf")):
        line = raw
        if b"\x0b" in line or b"\x1c" in line:
            if START in line:
                pieces.close(cut_off=opened > closed)
            opened += line.count(START)
            closed += line.count(b"\x1c")
            line = line.replace(START, b"").replace(b"\x1c", b"")
        head = line[:3]
        if head == b"MSH":
            pieces.close(cut_off=False)
            pieces.add(line, number)
        elif head in (b"FHS", b"BHS"):
            pieces.close(cut_off=opened > closed)
            in_file |= head == b"FHS"
            if head == b"BHS":
                batches += 1
                begun.append(pieces.count)
        elif head in (b"BTS", b"FTS"):
            pieces.close(cut_off=opened > closed)
            # The sender's own count: a file that lost a message on the way says so here.
            told = line[4:].split(line[3:4] or b"|")[0].strip()
            if head == b"BTS":
                counted = pieces.count - (begun.pop() if begun else 0)
            else:
                counted, in_file = batches, False
            if told.isdigit() and told.lstrip(b"0") != str(counted or "").encode():
                where = Where(line=number, path=f"{head.decode()}-1")
                raise Refused(Code.MANIFEST_MISMATCH, where, "more or fewer than the trailer says")
        elif line.strip():
            if not pieces.open:
                raise Refused(Code.UNREADABLE, Where(line=number), "not HL7 v2: a message begins with MSH")
            pieces.add(line, number)
        yield from pieces.done()
    pieces.close(cut_off=opened > closed)
    if not pieces.count:
        raise Refused(Code.UNREADABLE, hint="not HL7 v2: no message in it")
    if begun or in_file:
        raise Refused(Code.CUT_OFF, hint="a batch that its trailer (BTS, FTS) does not close")
    yield from pieces.done()


def read_hl7v2(
    source: bytes,
    *,
    keyer: Keyer,
    limits: Limits,
    default_zone: str | None = None,
    codes: Codes = CODES,
    processing: frozenset[str] = frozenset({"P"}),
) -> Iterator[Batch]:
    """Batches of kind `tests` from a file of one or many messages.

    A time without offset takes that of MSH-7 (the standard's rule), else `default_zone`, else it is refused.
    `processing` are the values of MSH-11 that are meant: by default production only, since a training message must
    not colour anybody. Raises Refused for a file that is no HL7 v2, is cut off, or holds other messages than it says.
    """
    for _ in _pieces(source, limits):
        pass  # to its end once, so that nothing is taken from a file that turns out to be none, or not whole
    pile = Pile(keyer, limits)
    for row, piece in enumerate(_pieces(source, limits), 1):
        _take(pile, piece, row, default_zone=default_zone, codes=codes, processing=processing)
        if pile.waiting >= _BATCH_ROWS:
            yield from pile.batches()
    yield from pile.batches()


def _take(
    pile: Pile,
    piece: _Piece,
    row: int,
    *,
    default_zone: str | None,
    codes: Codes,
    processing: frozenset[str],
) -> None:
    """One message onto the pile: its results, or the refusal that says why there are none."""
    text: str | None = None

    def refuse(problem: Refused, line: int) -> None:
        nonlocal text
        where = problem.where
        path = f"message[{row}]" + (f".{where.path}" if where.path else "")
        pile.refuse("tests", Refusal(row, where.line or line, None, path, problem.code, problem.hint, text))
        text = None  # with the first refusal only, or a long message would be written back many times

    try:
        if piece.fault is not None and piece.fault.code is not Code.CUT_OFF:
            raise piece.fault
        text = _decoded(piece.content)
        if piece.fault is not None:
            raise piece.fault
        message = parse_message(text, piece.lines)
        report = Report.of(message, default_zone, codes)
    except Refused as problem:
        refuse(problem, piece.lines[0])
        return
    for result in report.results:
        try:
            if report.processing not in processing:
                raise Refused(
                    Code.UNSUPPORTED_MESSAGE, Where(path="MSH-11"), "not a production message (processing id)"
                )
            id_type, id_number, row_values = report.row(result)
            person = pile.keyer.key(id_type, id_number)
            secret = {
                "person": person,
                "id_type": id_type,
                "id_number": id_number,
                "name": None,
                "phone": None,
            }
            pile.accept("tests", {**row_values, "person": person}, [secret])
        except Refused as problem:
            refuse(problem, result.order.line)


def _decoded(content: bytes) -> str:
    """A message's text by its own MSH-18. Raises Refused."""
    separator = content[3:4]
    header = content.split(b"\n", 1)[0].split(separator or b"|")
    name = header[17].split(b"~")[0].strip().decode("ascii", "replace").upper() if len(header) > 17 else ""
    codec = _CHARACTER_SETS.get(name)
    if codec is None:
        raise Refused(Code.UNSUPPORTED_MESSAGE, Where(path="MSH-18"), "this character set is not read")
    try:
        return content.decode(codec)
    except UnicodeDecodeError:
        raise Refused(Code.NOT_UTF8, hint=f"not {codec}, which MSH-18 says or leaves open") from None


# ---------------------------------------------------------------------------------------------------- report


@dataclass(frozen=True, slots=True)
class OrderedResult:
    """The observations of one method under one order."""

    order: Segment
    specimen: Segment | None
    method: Method
    observations: list[tuple[Segment, Assay]]


@dataclass(frozen=True, slots=True)
class Report:
    """A message that is an ORU^R01, with the SARS-CoV-2 results found in it (at least one)."""

    message: Message
    patient: Segment | None
    results: list[OrderedResult]
    processing: str
    offset: int | None  # of MSH-7: the default throughout the message
    default_zone: str | None
    codes: Codes

    @classmethod
    def of(cls, message: Message, default_zone: str | None, codes: Codes) -> Report:
        """Raises Refused: unsupported_message, bad_message, not_a_result."""
        header, part = message.header, message.part
        kind, trigger = part(header, 9, 1), part(header, 9, 2)
        if (kind, trigger) != ("ORU", "R01"):
            raise Refused(Code.UNSUPPORTED_MESSAGE, Where(path="MSH-9"), "only ORU^R01 is taken")
        # Left empty by real senders that otherwise follow 2.5.1: read as that, as the newest of the family.
        if (part(header, 12) or VERSIONS[-1]) not in VERSIONS:
            raise Refused(Code.UNSUPPORTED_MESSAGE, Where(path="MSH-12"), f"one of {', '.join(VERSIONS)}")
        patients = [s for s in message.segments if s.name == "PID"]
        if len(patients) > 1:
            # Patient groups may repeat in one message; each result then belongs to the PID before it, and a
            # sender that means that can send one message a patient. A wrong guess would colour a stranger.
            raise Refused(Code.UNSUPPORTED_MESSAGE, Where(path="PID"), "one patient in one message")
        results, reason = _results(message, codes)
        if not results:
            raise Refused(
                Code.NOT_A_RESULT, Where(path="OBX"), reason or "no SARS-CoV-2 result in the message"
            )
        offset = _ts(part(header, 7), "MSH-7")[2] if _TS.fullmatch(part(header, 7)) else None
        return cls(
            message=message,
            patient=patients[0] if patients else None,
            results=results,
            processing=part(header, 11),
            offset=offset,
            default_zone=default_zone,
            codes=codes,
        )

    def row(self, result: OrderedResult) -> tuple[str, str, Row]:
        """(id_type, id_number, columns of `tests` but the person). Raises Refused."""
        message, part, order = self.message, self.message.part, result.order
        answers: list[tuple[Assay, Result]] = []
        pooled = (
            result.specimen is not None and part(result.specimen, 11) == "L"
        )  # table 0369: pooled specimens
        settled, corrected = True, False
        for segment, assay in result.observations:
            answer, in_pool = self._answer(segment)
            answers.append((assay, answer))
            pooled |= in_pool
            settled &= answer != "pending"
            corrected |= part(segment, 11) in ("C", "D", "W")
        id_type, id_number = self._person(result)
        first = result.observations[0][0]
        filler = part(order, 3) or part(order, 2)
        specimen_id = self._specimen(result.specimen) or filler
        if not specimen_id:
            raise Refused(Code.MISSING_VALUE, Where(path="SPM-2"), "a number of the specimen or of the order")
        reported, sampled = self._times(result)
        facility = self._authority(message.header.raw(4)) or part(message.header, 3)
        stable = (facility, filler, part(order, 4) or part(order, 4, 4), result.method, specimen_id)
        sent = self._optional(message.header, 7)
        return (
            id_type,
            id_number,
            {
                "document_id": printable("|".join(stable)) if filler else None,
                "document_version": version(
                    reported if sent is None else sent, settled=settled, corrected=corrected
                ),
                "specimen_id": printable(specimen_id),
                "sampled_at": sampled,
                "reported_at": reported,
                "method": result.method,
                "pooled": pooled,
                "pool_id": printable(specimen_id) if pooled else None,
                "result": fold(answers),
                "lab": self._laboratory(first),
            },
        )

    def _answer(self, segment: Segment) -> tuple[Result, bool]:
        """(result, found in a pool) of one observation, its status considered."""
        message, part = self.message, self.message.part
        # OBX-1 is sent by the sender: only a number may stand in a path.
        number = part(segment, 1)
        where = f"OBX[{number if re.fullmatch('[0-9]{1,4}', number) else '?'}]"
        status = part(segment, 11).upper()
        if not status:
            raise Refused(
                Code.MISSING_VALUE, Where(line=segment.line, path=f"{where}-11"), "the result status"
            )
        if status in _NO_RESULT:
            raise Refused(Code.NOT_A_RESULT, Where(line=segment.line, path=f"{where}-11"), _NO_RESULT[status])
        if status not in _STATUS:
            raise Refused(
                Code.NOT_IN_LIST, Where(line=segment.line, path=f"{where}-11"), "a status of table 0085"
            )
        decided = _STATUS[status]
        if decided is not None:
            return decided, False
        value = Where(line=segment.line, path=f"{where}-5")
        kind = part(segment, 2)
        if not segment.raw(5).strip() or segment.raw(5).strip() == '""':
            raise Refused(Code.MISSING_VALUE, value, "the answer")
        if kind not in _CODED | _WORDED:
            raise Refused(Code.BAD_VALUE, value, "a coded answer or words, not a quantity")
        answers = set()
        for said in message.repetitions(segment, 5):
            if not said.strip():
                continue
            if kind in _CODED:
                words = (message.piece(said, 2), message.piece(said, 5), message.piece(said, 9))
                text = next((w for w in words if w), message.piece(said, 1))
                answers.add(self.codes.result(_codings(message, said), text))
            else:
                answers.add(self.codes.result((), message.piece(said, 1)))
        if len(answers) != 1:
            raise Refused(Code.BAD_VALUE, value, "several answers that differ")
        result, in_pool = answers.pop()
        if result is None:
            raise Refused(Code.NOT_IN_LIST, value, "an answer that says detected, not detected or neither")
        return result, in_pool

    def _person(self, result: OrderedResult) -> tuple[str, str]:
        message, part = self.message, self.message.part
        if self.patient is None:
            raise Refused(Code.NO_PERSON, Where(path="PID"), "the message has no PID")
        facility = self._authority(message.header.raw(4))
        found = []
        for i, told in enumerate(message.repetitions(self.patient, 3), 1):
            assigners = (self._authority(message.piece(told, n, None), of_component=True) for n in (4, 6))
            found.append(
                Identifier(
                    number=printable(message.piece(told, 1)),
                    # Without an assigning authority a local number is the sending facility's.
                    authority=printable(next(filter(None, assigners), facility)),
                    type_code=message.piece(told, 5),
                    path=f"PID-3[{i}]",
                )
            )
        things = [part(result.order, 2), part(result.order, 3), part(message.header, 10)]
        things += [self._specimen(result.specimen)]
        try:
            return person_of(found, spoken_of=[t for t in things if t])
        except Refused as problem:
            raise Refused(
                problem.code, Where(line=self.patient.line, path=problem.where.path or "PID-3"), problem.hint
            ) from None

    def _authority(self, text: str, *, of_component: bool = False) -> str:
        """A hierarchic designator by its universal id if it has one, else by its namespace."""
        mark = self.message.subcomponent if of_component else self.message.component
        names = [self.message.unescape(n).strip() for n in (text.split(mark, 2) if mark else [text])][:2]
        return next((n for n in reversed(names) if n), "")

    def _specimen(self, specimen: Segment | None) -> str:
        """SPM-2: the filler's number of the specimen, else the placer's."""
        if specimen is None:
            return ""
        return self.message.part(specimen, 2, 2) or self.message.part(specimen, 2, 1)

    def _laboratory(self, first: Segment) -> str:
        part, header = self.message.part, self.message.header
        names = (
            part(first, 23, 1),
            part(first, 23, 10),
            part(first, 15, 2),
            part(first, 15, 1),
            part(header, 4),
        )
        name = next((printable(n) for n in names if printable(n)), "")
        if not name:
            raise Refused(
                Code.MISSING_VALUE, Where(path="OBX-23"), "the laboratory (OBX-23, OBX-15 or MSH-4)"
            )
        return name

    # Times. A day without time stands for its first moment; see docs/formats/hl7v2.md.

    def _times(self, result: OrderedResult) -> tuple[Moment, Moment | None]:
        """(reported_at, sampled_at). Reported is the first of OBR-22, OBX-19, MSH-7 that says more than the day."""
        first, order = result.observations[0][0], result.order
        sampled = None
        for segment, number in ((result.specimen, 17), (order, 7), (first, 14)):
            if segment is not None and (sampled := self._moment(segment, number)) is not None:
                break
        dated: Moment | None = None
        for segment, number in ((order, 22), (first, 19), (self.message.header, 7)):
            at = self._moment(segment, number)
            if at is None:
                continue
            if at[1]:
                return at[0], sampled[0] if sampled else None
            dated = at[0] if dated is None else dated
        if dated is None:
            raise Refused(Code.MISSING_VALUE, Where(path="OBR-22"), "when the result was reported")
        if sampled is not None and dated <= sampled[0] < dated + DAY:
            dated = sampled[0]  # reported on the day of the sample, and not before it
        return dated, sampled[0] if sampled else None

    def _moment(self, segment: Segment, number: int) -> tuple[Moment, bool] | None:
        """(moment, whether it says a time of day) of a field; None if it is empty."""
        text, path = self.message.part(segment, number), f"{segment.name}-{number}"
        if not text:
            return None
        day, at, offset = _ts(text, path)
        try:
            found = local_moment(day, at, self.offset if offset is None else offset, self.default_zone)
        except Refused as problem:
            raise Refused(problem.code, Where(line=segment.line, path=path), problem.hint) from None
        return found, at is not None

    def _optional(self, segment: Segment, number: int) -> Moment | None:
        try:
            found = self._moment(segment, number)
        except Refused:
            return None
        return found[0] if found else None


def _results(message: Message, codes: Codes) -> tuple[list[OrderedResult], str]:
    """The SARS-CoV-2 observations, grouped by order and method; and words about near codes, if there are none."""
    groups: list[tuple[Segment, Segment | None, list[Segment]]] = []
    for segment in message.segments:
        if segment.name == "OBR":
            groups.append((segment, None, []))
        elif segment.name == "OBX":
            if not groups:
                where = Where(line=segment.line, path="OBX")
                raise Refused(Code.BAD_MESSAGE, where, "an observation before its order")
            groups[-1][2].append(segment)
        elif segment.name == "SPM" and groups and groups[-1][1] is None:
            groups[-1] = (groups[-1][0], segment, groups[-1][2])
    results: dict[tuple[object, ...], OrderedResult] = {}
    reason = ""
    part = message.part
    for i, (order, specimen, observations) in enumerate(groups):
        # An order that stands twice is one order: its observations make one result, and one document.
        number = part(order, 3) or part(order, 2) or i
        sample = specimen.raw(2) if specimen else ""
        for segment in observations:
            codings = _codings(message, segment.raw(3))
            assay = codes.assay(codings)
            if assay is None:
                reason = reason or codes.why_not(codings)
                continue
            key = (number, part(order, 4) or part(order, 4, 4), sample, assay.method)
            made = results.setdefault(key, OrderedResult(order, specimen, assay.method, []))
            made.observations.append((segment, assay))
    return list(results.values()), reason


def _codings(message: Message, field: str) -> list[tuple[str, str]]:
    """(system, code) of a coded element: the identifier and the alternate identifier."""
    found = []
    for first in (1, 4):
        code, name = message.piece(field, first), system(message.piece(field, first + 2))
        if code:
            found.append((name, code.upper() if name == LOINC else code))
    return found


def _ts(text: str, path: str) -> tuple[date, time | None, int | None]:
    """(day, time of day or None, seconds east of UTC or None) of a TS. Raises Refused(bad_time).

    A year or a month alone is no day: refused. Fractions of a second are cut off.
    """
    found = _TS.fullmatch(text)
    if found is None or found[3] is None:
        raise Refused(Code.BAD_TIME, Where(path=path), "YYYYMMDD, with HHMM[SS] and an offset")
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        when = date(int(year), int(month), int(day))
        at = time(int(hour), int(minute or 0), int(second or 0)) if hour is not None else None
    except ValueError:
        raise Refused(Code.BAD_TIME, Where(path=path), "no such day or time") from None
    if not 1900 <= when.year <= 2200:
        raise Refused(Code.BAD_TIME, Where(path=path), "between 1900 and 2200")
    offset = None
    if zone is not None:
        offset = (int(zone[1:3]) * 60 + int(zone[3:5])) * 60
        if offset > 14 * 3600 or int(zone[3:5]) > 59:
            raise Refused(Code.BAD_TIME, Where(path=path), "no such offset")
        offset = -offset if zone[0] == "-" else offset
    return when, at, offset


# ---------------------------------------------------------------------------------------------------- answer


def ack(message: bytes, code: Literal["AA", "AE", "AR"], text: str = "", *, now: Moment) -> bytes:
    """The ACK^R01 that answers a message, in the message's own separators and version, not framed.

    Sender and receiver change places; MSA-2 is the control id of the message; the answer's own control id is derived
    from message and code, so that answering twice is answering the same. `text` must name no person: it goes to MSA-3.
    Raises Refused(bad_message) for bytes that have no readable MSH.
    """
    content = message.removeprefix(START).removesuffix(END).removesuffix(b"\x1c")
    first = next((line for _, line in _lines_of(content)), b"")
    try:
        header = _decoded(first)
    except Refused:
        header = first.decode("latin-1")
    parsed = parse_message(header)
    msh, mark = parsed.header, parsed.header.fields[1]

    def escaped(words: str) -> str:
        escape = parsed.escape
        signs = {
            mark: "F",
            parsed.component: "S",
            parsed.repetition: "R",
            parsed.subcomponent: "T",
            escape: "E",
        }
        made = (f"{escape}{signs[c]}{escape}" if c in signs and escape else c for c in printable(words))
        return "".join(made)

    answers = mark.join(
        [
            f"MSH{mark}{msh.raw(2)}",
            msh.raw(5),
            msh.raw(6),
            msh.raw(3),
            msh.raw(4),
            datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S+0000"),
            "",
            parsed.component.join(
                ["ACK", "R01", "ACK"] if parsed.part(msh, 12) > "2.3.1" else ["ACK", "R01"]
            ),
            sha256(content + code.encode()).hexdigest()[:20],
            msh.raw(11) or "P",
            msh.raw(12) or VERSIONS[-1],
        ]
    )
    acknowledged = mark.join(["MSA", code, msh.raw(10), *([escaped(text)] if text else [])])
    return f"{answers}\r{acknowledged}\r".encode("utf-8", "replace")


def frame(message: bytes) -> bytes:
    """The message in an MLLP frame."""
    return START + message + END


def unframe(stream: bytes) -> tuple[list[bytes], bytes]:
    """(whole messages, what is left) of an MLLP stream; bytes between frames are dropped, as the protocol says."""
    messages: list[bytes] = []
    while True:
        begin = stream.find(START)
        if begin < 0:
            return messages, b""
        end = stream.find(END, begin)
        if end < 0:
            return messages, stream[begin:]
        messages.append(stream[begin + 1 : end])
        stream = stream[end + len(END) :]
