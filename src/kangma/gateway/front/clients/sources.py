"""What a source does: send a batch under an idempotency key, and read what became of it.

The body is read as it comes into a file that has no name and lies on no disk, and goes from there to the sandboxed
reader; what of it stays on the disk, and refused rows do, is said in docs/gateway.md. Whose it is comes from the token:
the source's name is the name of its feed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi import Path as InPath

from kangma.errors import Code, Refused, Unavailable, Where
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import Here
from kangma.gateway.front.who.rights import Calling
from kangma.gateway.register.problems import NotThere, Problem, WrongMedia
from kangma.gateway.register.sent import SentBytes
from kangma.intake.kinds import KINDS
from kangma.store.inbox import Manifest
from kangma.store.submissions import MOST_BODY, NoReceipt, Receipt, Sent

#: Media type → form. Messages say themselves what they hold; a table is of the kind in the address.
FORMS = {
    "application/x-ndjson": "ndjson",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/fhir+json": "json",
    "application/hl7-v2": "hl7v2",
    "x-application/hl7-v2+er7": "hl7v2",
}
KindName = InPath(pattern=f"^({'|'.join(KINDS)})$", description="docs/reference/kinds.md")
Number = InPath(ge=1, lt=10**10, description="The number of a receipt of yours: shorter than any phone's.")
Key = Header(
    alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_-]{16,64}$",
    description="Drawn by chance for each batch, and the same when the batch is sent again.",
)  # fmt: skip
Sequence = Header(
    alias="Manifest-Sequence", ge=0, le=2**53, description="The manifest's number; all three headers or none of them."
)  # fmt: skip
Rows = Header(alias="Manifest-Rows", ge=0, le=2**53, description="How many rows the sender counted.")
Digest = Header(
    alias="Manifest-SHA256", pattern="^[0-9a-f]{64}$", description="The digest of the body, in hex."
)


@dataclass(frozen=True, slots=True)
class Body:
    """A body in memory: file descriptor, SHA-256 (hex), bytes, form, its idempotency key and what the headers say."""

    fd: int
    digest: str
    size: int
    form: str
    key: str
    manifest: tuple[int, int, str] | None


class Upload(SentBytes):
    """The body of a batch and its headers, read only when they make sense."""

    def __init__(self) -> None:
        super().__init__(*FORMS, most=MOST_BODY)

    async def __call__(  # type: ignore[override]  # a dependency with an end: the body is given back
        self,
        request: Request,
        city: Here,
        key: Annotated[str, Key],
        sequence: Annotated[int | None, Sequence] = None,
        rows: Annotated[int | None, Rows] = None,
        sha256: Annotated[str | None, Digest] = None,
    ) -> AsyncIterator[Body]:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in FORMS:
            raise WrongMedia(", ".join(FORMS))
        manifest = None
        if not (sequence is None and rows is None and sha256 is None):
            if sequence is None or rows is None or sha256 is None:
                raise Refused(
                    Code.MISSING_VALUE,
                    Where(path="manifest"),
                    "Manifest-Sequence, -Rows and -SHA256, all or none",
                )
            manifest = (sequence, rows, sha256)
        told = request.headers.get("content-length", "0")
        if not told.isascii() or not told.isdigit() or int(told[:12]) > self.most:
            raise _too_large()
        fd, size, digest = os.memfd_create("body", os.MFD_CLOEXEC), 0, hashlib.sha256()
        memory = city.memory
        try:
            async for piece in request.stream():
                if size + len(piece) > self.most:
                    raise _too_large()
                if memory.used + len(piece) > memory.most:
                    raise Unavailable("too much is coming in at once")
                size += len(piece)
                memory.used += len(piece)
                digest.update(piece)
                _write(fd, piece)
            yield Body(fd, digest.hexdigest(), size, FORMS[media], key, manifest)
        finally:
            memory.used -= size
            os.close(fd)


def _too_large() -> Refused:
    return Refused(Code.TOO_MANY_BYTES, Where(path="body"), f"at most {MOST_BODY} bytes")


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def send(
    kind: Annotated[str, KindName], body: Annotated[Any, Depends(Upload())], city: Here, caller: Calling
) -> Response:
    """Send a batch. 201: what the receipt counts as accepted is durable. 200: this batch was taken before under this key,
    and this is its receipt. 202: it brings so many more positives than yours ever do that two people look at it first."""
    client = city.registered.of(caller)
    manifest = None
    if body.manifest is not None:
        sequence, rows, sha256 = body.manifest
        manifest = Manifest(client.name, sequence, rows, sha256)
    kinds = sorted(scope.partition(":")[2] for scope in caller.scopes)
    sent = Sent(
        body.fd, body.digest, body.size, kind, body.form,
        (kind,) if body.form in ("ndjson", "csv", "parquet") else tuple(kinds), manifest,
    )  # fmt: skip
    got, new = city.submissions.take(client, body.key, sent, now=city.now)
    if got.problem is not None:
        status = 413 if got.problem["code"] == Code.TOO_MANY_BYTES else 422
        more: dict[str, Any] = {"receipt": got.number}
        if got.problem["where"]:
            more["where"] = got.problem["where"]
        return Problem(status, got.problem["code"], got.problem["hint"], more).response()
    status = 202 if new and got.state == "held" else 201 if new else 200
    return Response(_said(got).model_dump_json(), status, media_type="application/json")


def receipt(receipt: Annotated[int, Number], city: Here, caller: Calling) -> s.ReceiptSaid:
    """What became of a batch of yours."""
    try:
        return _said(city.submissions.receipt(city.registered.of(caller), receipt))
    except NoReceipt as problem:
        raise NotThere(problem.hint) from None


def rejects(receipt: Annotated[int, Number], city: Here, caller: Calling) -> Response:
    """The refused rows of a batch of yours: row, line, code, and the column where one is at fault. What was in them is
    nowhere here."""
    client = city.registered.of(caller)
    try:
        found = city.submissions.receipt(client, receipt)
        rows = [s.Reject.model_validate(x) for x in city.submissions.rejects(client, receipt)]
    except NoReceipt as problem:
        raise NotThere(problem.hint) from None
    told = s.Rejects(receipt=receipt, refused=found.refused, rejects=rows)
    return Response(told.model_dump_json(exclude_none=True), media_type="application/json")


def _said(got: Receipt) -> s.ReceiptSaid:
    return s.ReceiptSaid.model_validate(
        {
            "receipt": got.number, "kind": got.kind, "received": got.received, "accepted": got.accepted,
            "duplicate": got.duplicate, "refused": got.refused, "quarantined": got.quarantined,
            "rejects": got.rejects, "state": got.state, "became": got.became,
        }
    )  # fmt: skip
