"""`kangma credential`: one resident's code, signed, as the text and the picture that doors scan."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.cli.terminal import Json, Now, StateDir, fail, out, paragraph, plain, print_json, wall_clock
from kangma.credential import claims as claims_
from kangma.credential import holder, issue, qr
from kangma.credential.claims import Claims, Kind
from kangma.errors import Code, Refused
from kangma.publish.city import the_signer
from kangma.publish.credentials import for_phone, on_paper, resident
from kangma.signing.cose import open1
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.store.durable import write_file
from kangma.store.signing import open_signing
from kangma.store.state import open_state
from kangma.terms import Moment, zone

MOST = 2_048  # bytes of a credential


class Carried(StrEnum):
    """How the code is carried."""

    PAPER = "paper"
    PHONE = "phone"
    PROXY = "proxy"


def credential(
    directory: StateDir,
    id_type: Annotated[str, typer.Option("--id-type", metavar="TYPE", help="As for `kangma code`.")] = "",
    id_number: Annotated[
        str, typer.Option("--id-number", metavar="NUMBER", help="The number of the document.")
    ] = "",
    kind: Annotated[Carried, typer.Option("--kind", help="How it is carried.")] = Carried.PAPER,
    phone: Annotated[
        Path | None,
        typer.Option(
            "--phone",
            metavar="FILE",
            help="Plays the phone: holds its keys and the credentials of three days. While it has today's, the code is "
            "shown from it alone, with a fresh proof, whether or not anything else can be reached.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="For a second phone, or one in place of a lost one.")
    ] = False,
    withdraw: Annotated[
        bool,
        typer.Option("--withdraw", help="Withdraw every code of the person with the next cycle instead."),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The QR picture: .png or .svg.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Sign one resident's code: as text, and as the picture that doors scan.

    Nothing in it tells the colour: doors find that in the public status lists. On paper it lives 28 days, on a phone
    one day, with those of the next two fetched ahead.
    """
    at = wall_clock() if now is None else now
    if picture is not None and picture.suffix not in (".png", ".svg"):
        fail("--out takes a .png or an .svg file")
    if (kind is Carried.PAPER) == (phone is not None) and not withdraw:
        fail("--phone FILE goes with --kind phone and --kind proxy, and with them only")
    if phone is not None and phone.exists() and not (again or withdraw):
        signed, proof = _shown(phone, at)
        _tell(signed, proof, picture, as_json)
        return
    if not (id_type and id_number):
        fail("whose? --id-type and --id-number")
    with open_state(directory) as state, the_signer(directory, now=at) as signer:
        if signer is None:
            fail("this city publishes nothing: it was made without an authority")
        person = resident(state, id_type, id_number)
        if withdraw:
            places = signer.withdraw(person, now=at)
            if as_json:
                print_json({"withdrawn": places})
            else:
                out.print(f"{places} places withdrawn; doors refuse them from the next cycle on.")
            return
        today = zone(open_signing(directory).trust.publisher.zone).day(at)
        if phone is None:
            signed, proof = on_paper(state, signer, person, today=today, now=at), b""
        else:
            keys = [_fresh() for _ in range(issue.DAYS_AHEAD)]
            made = for_phone(
                state,
                signer,
                person,
                [k.public for k in keys],
                today=today,
                now=at,
                kind=Kind.PHONE if kind is Carried.PHONE else Kind.PROXY,
                again=again,
            )
            _keep(phone, keys, made)
            signed, proof = _shown(phone, at)
    _tell(signed, proof, picture, as_json)


def _tell(signed: bytes, proof: bytes, picture: Path | None, as_json: bool) -> None:
    text = issue.shown(signed, proof)
    said = _claims(signed)
    if picture is not None:
        picture.write_bytes(qr.png(text) if picture.suffix == ".png" else qr.svg(text))
    if as_json:
        print_json(
            {
                "text": text,
                "kind": said.kind.name.lower(),
                "name_mask": said.mask,
                "valid_from": said.issued,
                "valid_until": said.expires,
                "list": said.uri,
                "qr_version": qr.version(text),
                "picture": None if picture is None else str(picture),
            }
        )
        return
    out.print(plain(text))
    more = "" if picture is None else f", picture {picture}"
    paragraph(
        f"{said.kind.name.lower()}, {said.mask}, QR version {qr.version(text)}-M{more}", indent=2, style="dim"
    )


def _claims(signed: bytes) -> Claims:
    return claims_.decode(open1(signed, most=MOST).payload)


# the phone -----------------------------------------------------------------------------------------------------------


def _fresh() -> KeySigner:
    # A holder's key is in no trust list; the environment only completes the type.
    return KeySigner(Algorithm.ES256, new_secret(Algorithm.ES256), Environment.DEVELOPMENT)


def _keep(phone: Path, keys: list[KeySigner], made: list[bytes]) -> None:
    held = [{"key": k.secret.hex(), "credential": c.hex()} for k, c in zip(keys, made, strict=True)]
    write_file(phone, json.dumps(held, indent=1).encode(), mode=0o600)


def _shown(phone: Path, at: Moment) -> tuple[bytes, bytes]:
    """Today's credential of a phone, and a proof of this half minute."""
    try:
        held: list[dict[str, Any]] = json.loads(phone.read_bytes())
        pairs = [(bytes.fromhex(h["credential"]), bytes.fromhex(h["key"])) for h in held]
    except (ValueError, KeyError, TypeError):
        raise Refused(Code.UNREADABLE, hint=f"{phone.name} is not a phone's file") from None
    for signed, secret in pairs:
        said = _claims(signed)
        if said.issued <= at < said.expires:
            key = KeySigner(Algorithm.ES256, secret, Environment.DEVELOPMENT)
            return signed, holder.prove(signed, holder.step_of(at), key)
    fail(f"{phone.name} holds no code for this day: fetch new ones (remove the file)")
