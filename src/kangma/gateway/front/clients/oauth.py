"""`POST /oauth/token` (RFC 6749, 4.4): a client's signed assertion for an access token. Failures are in the words of that
standard, for its libraries understand no others."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import ValidationError

from kangma.errors import Refused
from kangma.gateway.front import schema as s
from kangma.gateway.front.city import Here
from kangma.gateway.front.who.assertions import NotGiven
from kangma.gateway.register.sent import FORM_MEDIA, Sent, SentForm

_HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}


class _Fields(Sent):
    """The form's fields, each once; or what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(s.Assertion)
        self.media = (FORM_MEDIA,)
        self._form = SentForm(max(self.most, 1), 20)

    async def __call__(self, request: Request) -> dict[str, str] | NotGiven:
        try:
            pairs = await self._form(request)
        except Refused:
            return NotGiven("invalid_request", "a form, application/x-www-form-urlencoded")
        fields = dict(pairs)
        if len(fields) != len(pairs):
            return NotGiven("invalid_request", "a field was sent twice")
        if "grant_type" in fields and "client_assertion" in fields:
            try:
                self.model.model_validate(fields)
            except ValidationError:
                return NotGiven(
                    "invalid_request", "a field that is not known here, or is missing or too long"
                )
        return fields


def token(asked: Annotated[Any, Depends(_Fields())], city: Here) -> Response:
    """An access token for a client that signs for it; it lives ten minutes. Each assertion is taken once."""
    try:
        if isinstance(asked, NotGiven):
            raise asked
        given = city.registered.give(asked)
    except NotGiven as why:
        status = 401 if why.why == "invalid_client" else 400
        said = s.NoAccess.model_validate({"error": why.why, "error_description": why.text})
        headers = _HEADERS | ({"www-authenticate": "Bearer"} if status == 401 else {})
        return Response(said.model_dump_json(), status, headers=headers, media_type="application/json")
    told = s.Access(
        access_token=given.token, token_type="Bearer", expires_in=given.seconds, scope=" ".join(given.scopes)
    )
    return Response(told.model_dump_json(), headers=_HEADERS, media_type="application/json")
