"""Which form an input has and which reader of kangma.intake takes it. Runs in the worker, on hostile bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import Batch
from kangma.intake.fhir import read_fhir
from kangma.intake.hl7v2 import read_hl7v2
from kangma.intake.identity import Keyer
from kangma.intake.kinds import KINDS
from kangma.intake.limits import Limits
from kangma.intake.risk_areas import read_risk_areas
from kangma.intake.tables import read_table

TABLES = ("csv", "ndjson", "parquet")
_FORMS = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".hl7": "hl7v2",
    ".txt": "hl7v2",
    ".json": "json",
}
_KIND = re.compile("(" + "|".join(sorted(KINDS, key=len, reverse=True)) + ")(?![a-z0-9])", re.IGNORECASE)
_HL7 = (b"MSH", b"FHS", b"BHS")
# A list of risk areas is known by its member; a FHIR resource by this one, which every resource has.
_RESOURCE = re.compile(rb'"resourceType"\s*:')


def form_of(name: str, head: bytes) -> str:
    """csv, ndjson, parquet, hl7v2 or json, by the extension and the first bytes.

    Raises Refused (unreadable) for an extension that is not taken and for text that is not HL7.
    """
    form = _FORMS.get(PurePath(name).suffix.lower())
    if form is None:
        raise Refused(Code.UNREADABLE, hint=f"a name that ends in {', '.join(_FORMS)}")
    if name.lower().endswith(".txt") and not head.lstrip(b"\xef\xbb\xbf\x0b \r\n").startswith(_HL7):
        raise Refused(Code.UNREADABLE, Where(line=1), "a .txt file is taken when it holds HL7 v2 messages")
    return form


def kind_of(name: str) -> str:
    """The kind that a table's stem begins with: `visits-2022-04-25.parquet`. Raises Refused (unknown_kind)."""
    found = _KIND.match(PurePath(name).name)
    if found is None:
        raise Refused(Code.UNKNOWN_KIND, hint="name the file for its kind, such as tests.csv, or say --kind")
    return found[1].lower()


def read(source: BinaryIO, request: dict[str, Any], keyer: Keyer, limits: Limits) -> Iterator[Batch]:
    """The batches of one input; raises Refused for a whole input that cannot be read.

    `request` names the form, and where they apply the kind, whether the sender is inside the boundary, the time zone
    of messages without one and the processing ids taken.
    """
    form = request["form"]
    if form in TABLES:
        kind = request["kind"]
        if kind not in KINDS:
            raise Refused(Code.UNKNOWN_KIND, hint=f"one of {', '.join(KINDS)}")
        buffered = io.BufferedReader(cast(io.RawIOBase, source), 1 << 20)
        yield from read_table(
            buffered, kind=kind, form=form, keyer=keyer, limits=limits, inside=request["inside"]
        )
        return
    # An HL7 file holds many messages, each under the limit of its reader; a JSON file is one message.
    content = _whole(source, limits.message_bytes * (16 if form == "hl7v2" else 1))
    if form == "hl7v2":
        yield from read_hl7v2(
            content,
            keyer=keyer,
            limits=limits,
            default_zone=request["zone"],
            processing=frozenset(request["processing"]),
        )
    elif _RESOURCE.search(content):
        yield from read_fhir(content, keyer=keyer, limits=limits, default_zone=request["zone"])
    else:
        yield from read_risk_areas(content, limits=limits)


def _whole(source: BinaryIO, most: int) -> bytes:
    content = bytearray()
    while piece := source.read(1 << 20):
        content += piece
        if len(content) > most:
            raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {most} bytes in one file of messages")
    return bytes(content)
