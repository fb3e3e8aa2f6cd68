"""Members over the network: enrolling a passkey by invitation, signing in with it, signing out. WebAuthn Level 3.

The browser's half is `web/src/register/members.ts`. It finds on the pages `/members` and `/members/account`:

    [data-enrol], [data-signin]  buttons, hidden at first; the first is shown with an invitation
    [data-another]               of a [data-enrol]: it adds a passkey to the account that is signed in
    [data-said]                  a live region; data-working, -done, -refused and -unsupported of it are the sentences
    form[action="/members/sign-out"]  needs no script

An invitation travels in the address's fragment, which browsers send to nobody. What is kept, and taken only once, is
`kangma.store.register_members`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from kangma.errors import Code, Corrupt, Refused, Unavailable
from kangma.gateway.register import schema
from kangma.gateway.register.answers import PROBLEMS, answer
from kangma.gateway.register.asked import Here, Member, Now, Viewer, cookie, forgotten, session_of
from kangma.gateway.register.problems import NotSignedIn
from kangma.gateway.register.sent import Sent
from kangma.incidents.life import Right, require
from kangma.store.register import Register
from kangma.store.register_members import LONGEST, Passkey

router = APIRouter(tags=["members"], responses=PROBLEMS)
VERIFIED = UserVerificationRequirement.REQUIRED


def server(register: Register) -> Fido2Server:
    """What checks the ceremonies: for the host of the register's base, and from exactly its origin."""
    base = register.about.base
    parts = urlsplit(base)
    rp = PublicKeyCredentialRpEntity(id=parts.hostname or "", name=register.about.title)
    origin = f"{parts.scheme}://{parts.netloc}"
    return Fido2Server(rp, AttestationConveyancePreference.NONE, verify_origin=lambda told: told == origin)


def _checked(ceremony: Any) -> Any:
    """What a ceremony's check returns. Whatever it raises at hostile bytes, the answer is one: not accepted. A database
    that is busy or damaged says nothing about a passkey: that passes through, as 503 or 500."""
    try:
        return ceremony()
    except (Unavailable, Corrupt):
        raise
    except Exception:
        raise NotSignedIn("this passkey was not accepted") from None


def _challenge(response: Any) -> bytes:
    return bytes(response.response.client_data.challenge)


# The library hands out a state with each challenge, to be given back with the answer. Ours are not kept (a stranger's
# question would cost a write); the state of the challenge that is answered is asked for again, and `register_members`
# knows whether that challenge is one of ours.


def _registered(with_: Fido2Server, challenge: bytes, told: RegistrationResponse) -> Any:
    nobody = PublicKeyCredentialUserEntity(id=b"-", name="")
    _, state = with_.register_begin(nobody, user_verification=VERIFIED, challenge=challenge)
    return with_.register_complete(state, told)


def _authenticated(
    with_: Fido2Server, challenge: bytes, known: list[AttestedCredentialData], told: AuthenticationResponse
) -> None:
    _, state = with_.authenticate_begin(None, VERIFIED, challenge=challenge)
    with_.authenticate_complete(state, known, told)


Asked = Annotated[schema.Invitation, Depends(Sent(schema.Invitation))]
Enrolling = Annotated[schema.Enrolling, Depends(Sent(schema.Enrolling))]
Signing = Annotated[schema.Credential, Depends(Sent(schema.Credential))]


def _enrolling(register: Register, viewer: Any, invitation: str, now: int) -> str:
    """The account that enrols: the invitation's, or the one that is signed in; never a token's, which may less."""
    if invitation:
        try:
            return register.members.invited(invitation, now=now)
        except Refused:
            raise NotSignedIn("the invitation is not, or no longer, accepted") from None
    if viewer is None or viewer.program:
        raise NotSignedIn
    return str(viewer.account)


@router.post("/v1/enrolment/options", responses={200: {"model": schema.Options}})
def enrolment_options(register: Here, now: Now, viewer: Viewer, asked: Asked) -> Response:
    """What a browser needs to make a passkey: for who was invited, or who is signed in and wants another."""
    account = _enrolling(register, viewer, asked.invitation, now)
    there = [
        PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=p.id)
        for p in register.members.passkeys(account)
    ]
    user = PublicKeyCredentialUserEntity(
        id=register.members.handle(account), name=account, display_name=account
    )
    options, _ = server(register).register_begin(
        user, there, ResidentKeyRequirement.REQUIRED, VERIFIED,
        challenge=register.members.challenge("enrol", now=now),
    )  # fmt: skip
    return answer(_plain(options))


@router.post("/v1/enrolment", status_code=201, responses={201: {"model": schema.Passkey}})
def enrol(register: Here, now: Now, viewer: Viewer, sent: Enrolling) -> Response:
    """Keeps the passkey that a browser made. The invitation is used up."""
    account = _enrolling(register, viewer, sent.invitation, now)
    told = _checked(lambda: RegistrationResponse.from_dict(sent.credential))
    challenge = _checked(lambda: _challenge(told))
    data = _checked(lambda: _registered(server(register), challenge, told))
    public = data.credential_data
    assert public is not None
    passkey = Passkey(
        bytes(public.credential_id), account, bytes(public), int(data.counter),
        data.is_backup_eligible(), data.is_backed_up(),
    )  # fmt: skip
    if len(passkey.id) > 1_023 or len(passkey.public) > 4_096 or (passkey.backed_up and not passkey.eligible):
        raise NotSignedIn("this passkey was not accepted")
    try:
        register.members.enrol(passkey, challenge=challenge, invitation=sent.invitation or None, now=now)
    except Refused as problem:
        if problem.code is Code.NOT_ALLOWED:
            raise NotSignedIn(problem.hint) from None
        raise
    made = next(p for p in register.members.passkeys(account) if p.id == passkey.id)
    return answer(_told(made), 201)


@router.post("/v1/sign-in/options", responses={200: {"model": schema.Options}})
def sign_in_options(register: Here, now: Now) -> Response:
    """What a browser needs to ask its owner for a passkey. It names no account: the passkey does."""
    options, _ = server(register).authenticate_begin(
        None, VERIFIED, challenge=register.members.challenge("sign-in", now=now)
    )
    return answer(_plain(options))


@router.post("/v1/sign-in", responses={200: {"model": schema.SignedIn}})
def sign_in(register: Here, now: Now, sent: Signing) -> Response:
    """Begins a session: the cookie is in the answer. Every way of not being accepted has the same answer."""
    told = _checked(lambda: AuthenticationResponse.from_dict(sent.credential))
    challenge = _checked(lambda: _challenge(told))
    passkey = _checked(lambda: register.members.passkey(bytes(told.raw_id)))
    data = _checked(lambda: told.response.authenticator_data)
    handle = _checked(lambda: told.response.user_handle)
    if handle is None or bytes(handle) != register.members.handle(passkey.account):
        raise NotSignedIn("this passkey was not accepted")
    known = [AttestedCredentialData(passkey.public)]
    _checked(lambda: _authenticated(server(register), challenge, known, told))
    token, until = _checked(
        lambda: register.members.sign_in(
            passkey.id, challenge=challenge, count=int(data.counter),
            eligible=data.is_backup_eligible(), backed_up=data.is_backed_up(), now=now,
        )
    )  # fmt: skip
    made = answer({"account": passkey.account, "expires_at": until})
    made.headers["set-cookie"] = cookie(register, token, LONGEST)
    return made


@router.post("/v1/sign-out", status_code=204)
def sign_out(request: Request, register: Here, now: Now) -> Response:
    """Ends the session, and the browser forgets its cookie."""
    if session := session_of(request):
        register.members.sign_out(session, now=now)
    return Response(status_code=204, headers={"set-cookie": forgotten(register)})


@router.post("/members/sign-out", include_in_schema=False)
def sign_out_without_script(request: Request, register: Here, now: Now) -> Response:
    """The same for a form."""
    made = sign_out(request, register, now)
    return Response(status_code=303, headers={**dict(made.headers), "location": "/members"})


@router.get("/v1/passkeys", responses={200: {"model": schema.Passkeys}})
def passkeys(register: Here, by: Member) -> Response:
    """One's own."""
    return answer({"passkeys": [_told(p) for p in register.members.passkeys(by.account)]})


@router.delete("/v1/passkeys/{passkey}", status_code=204)
def close_passkey(register: Here, now: Now, by: Member, passkey: schema.Hex) -> Response:
    """One's own, in person, or an administrator anybody's. Its sessions end."""
    if by.program:
        require(Right.ACCOUNTS, by.rights)
    register.members.close_passkey(by.rights, by.account, bytes.fromhex(passkey), now=now)
    return Response(status_code=204)


def _told(passkey: Passkey) -> dict[str, Any]:
    return {
        "id": passkey.id.hex(), "eligible": passkey.eligible, "backed_up": passkey.backed_up,
        "made_at": passkey.made_at, "used_at": passkey.used_at,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """The library's options as JSON values."""
    if isinstance(value, Mapping):
        return {str(k): _plain(value[k]) for k in value}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value.value) if hasattr(value, "value") else value
