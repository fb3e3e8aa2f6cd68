"""`kangma keys DIR …`: the ceremony, rotation, emergencies, the kill switch and the end of keys. docs/keys.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.cli.terminal import (
    Exit,
    Json,
    Now,
    StateDir,
    counted,
    fail,
    out,
    paragraph,
    plain,
    print_json,
    table,
    wall_clock,
)
from kangma.errors import Conflict, Refused
from kangma.publish.city import city_name
from kangma.signing import cose, rotation, stop
from kangma.signing.keys import Environment, KeySigner
from kangma.signing.trust import (
    MAX_BYTES,
    Ceilings,
    Root,
    TrustedKey,
    TrustList,
    Use,
    cosign_trust,
    decode,
    decode_root,
    encode,
    open_trust,
    sign_trust,
    successor,
)
from kangma.store import signing as store
from kangma.store.durable import write_file
from kangma.store.keyfiles import read_key_file
from kangma.terms import Moment, Text, zone

app = typer.Typer(
    help="Keys and trust: ceremony, rotation, emergency, kill switch, sunset.\n\n"
    "A trust list says which keys are believed. Two of three root officers sign each version of it. "
    "`docs/keys.md` goes through every step.",
    no_args_is_help=True,
    add_completion=False,
)

RootKeys = Annotated[
    list[Path],
    typer.Option(
        "--root-key",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="A root officer's key file. With two of them the list is signed and installed at once; with fewer it is "
        "left as a draft.",
    ),
]
NO_KEYS: list[Path] = []
Draft = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A draft.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Where a draft goes. Default: within DIR/signer."),
]
KeyId = Annotated[
    str,
    typer.Argument(metavar="KEY-ID", help="16 hexadecimal digits, as `show` has them.", show_default=False),
]


@app.callback()
def keys(ctx: typer.Context, directory: StateDir) -> None:
    ctx.obj = directory


def _directory(ctx: typer.Context) -> Path:
    found: Path = ctx.obj
    if not found.is_dir():
        fail(f"{found} is no directory")
    return found


# ------------------------------------------------------------------------------------------------------------ ceremony


@app.command()
def ceremony(
    ctx: typer.Context,
    authority: Annotated[
        str | None,
        typer.Option("--authority", metavar="ID", help="The issuer that codes name, such as cn-bj."),
    ] = None,
    name_zh: Annotated[
        str | None, typer.Option("--name-zh", metavar="TEXT", help="The city's name in Chinese.")
    ] = None,
    name_en: Annotated[
        str | None, typer.Option("--name-en", metavar="TEXT", help="The city's name in English.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="URI", help="Where the public folder is served, 40 bytes at most."),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            metavar="NAME",
            help="The log's name. Default: the base without its scheme, and the authority.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option("--zone", metavar="NAME", help="The IANA time zone whose days codes are valid for."),
    ] = None,
    environment: Annotated[
        Environment | None, typer.Option("--environment", help="Where these keys may be believed.")
    ] = None,
    root_dir: Annotated[
        list[Path],
        typer.Option(
            "--root-dir",
            metavar="FOLDER",
            help="Given three times: one folder, on a medium of its own, for each officer's key. Default: DIR/root.",
        ),
    ] = NO_KEYS,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask each officer for a passphrase that seals their key.")
    ] = False,
    worse_an_hour: Annotated[
        int, typer.Option("--worse-an-hour", help="Ceiling: turns to a worse colour in an hour.")
    ] = store.CEILINGS.worse_an_hour,
    worse_ppm_an_hour: Annotated[
        int,
        typer.Option(
            "--worse-ppm-an-hour",
            help="The same in millionths of the residents; the larger of the two counts.",
        ),
    ] = store.CEILINGS.worse_ppm_an_hour,
    credentials_a_minute: Annotated[
        int, typer.Option("--credentials-a-minute", help="Ceiling: credentials signed in a minute.")
    ] = store.CEILINGS.credentials_a_minute,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make three root keys, the issuing keys, and the first trust list, signed by all three.

    What is not said here is taken from what `kangma init` was told of the city.
    """
    directory = _directory(ctx)
    city = city_name(directory)
    if city is not None:
        authority, base, environment = (
            authority or city.id,
            base or city.base,
            environment or city.environment,
        )
        name_zh, name_en = name_zh or city.name.zh, name_en or city.name.en
        time_zone = time_zone or city.zone
    environment, time_zone = environment or Environment.PRODUCTION, time_zone or "Asia/Shanghai"
    if not (authority and name_zh and name_en and base):
        fail("the city has no name yet: --authority, --name-zh, --name-en and --base")
    if len(root_dir) not in (0, store.OFFICERS) or len({d.resolve() for d in root_dir}) != len(root_dir):
        fail("--root-dir is given three times, for three different folders, or not at all")
    try:
        zone(time_zone)
    except ValueError as problem:
        fail(str(problem))
    sealed = [_new_passphrase(i) if passphrase else None for i in range(1, store.OFFICERS + 1)]
    try:
        made = store.make_signing(
            directory,
            authority_id=authority,
            name=Text(name_zh, name_en),
            base=base,
            origin=f"{base.split('://', 1)[-1]}/{authority}" if origin is None else origin,
            environment=environment,
            zone=time_zone,
            now=wall_clock() if now is None else now,
            ceilings=Ceilings(worse_an_hour, worse_ppm_an_hour, credentials_a_minute),
            root_dirs=root_dir or None,
            passphrases=sealed,
        )
    except Conflict as problem:  # nobody was first here: another directory must be named
        fail(str(problem))
    if as_json:
        print_json(_shown(directory, made.root, made.trust))
        return
    out.print(f"[bold]{plain(directory)}[/] signs for {plain(authority)} in {environment}.")
    out.print(f"  root fingerprint {made.root.fingerprint.hex()}")
    if root_dir:
        paragraph("Give each medium to another person, and keep none of them in a machine.", indent=2)
    else:
        paragraph(
            f"The three root keys lie together in {directory / 'root'}: whoever reads this folder can make anybody "
            "believe anything. Move each to a medium of its own, with a person of its own, before codes are real.",
            indent=2,
            mark="! ",
            style="bold yellow",
        )


def _new_passphrase(officer: int) -> bytes:
    text: str = typer.prompt(
        f"Passphrase of officer {officer}", hide_input=True, confirmation_prompt=True, err=True
    )
    return text.encode()


def _root_signers(files: Sequence[Path]) -> list[KeySigner]:
    def passphrase(name: str) -> bytes:
        text: str = typer.prompt(f"Passphrase of {name}", hide_input=True, err=True)
        return text.encode()

    return [read_key_file(file, passphrase=passphrase) for file in files]


def _are_enough(officers: Sequence[KeySigner], root: Root) -> bool:
    return len({o.key_id for o in officers} & root.by_id.keys()) >= root.threshold


# ---------------------------------------------------------------------------------------------------------------- show


@app.command()
def show(
    ctx: typer.Context,
    draft: Annotated[
        Path | None,
        typer.Option("--draft", metavar="FILE", exists=True, dir_okay=False, help="Show this draft instead."),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Show the trust list in force, or what a draft would change: keys, dates, who signed."""
    directory, at = _directory(ctx), wall_clock() if now is None else now
    opened = store.open_signing(directory)
    if draft is not None:
        trust, signers = _read_draft(draft, opened.root)
        if isinstance(trust, stop.Resume):
            fail(f"{draft} is an order to resume; `sign` and `resume` take it")
        _told(trust, opened, signers, None, as_json, draft=draft)
        return
    if as_json:
        print_json(_shown(directory, opened.root, opened.trust, at=at))
        return
    trust = opened.trust
    place = zone(trust.publisher.zone)
    out.print(
        f"Version [bold]{trust.version}[/] for {plain(trust.publisher.id)} in {trust.environment}, "
        f"issued {_day(place.iso(trust.issued))}, valid until {_day(place.iso(trust.expires))}"
    )
    out.print(f"  root fingerprint {opened.root.fingerprint.hex()}")
    for authority in trust.authorities:
        lines = table(
            "key", "use", "from", "until", "is", title=f"\n{plain(authority.id)}", texts=["use", "is"]
        )
        for key in authority.keys:
            lines.add_row(
                key.id.hex(),
                key.use,
                _day(place.iso(key.not_before)),
                _day(place.iso(key.not_after)),
                _is(key, at),
            )
        out.print(lines)
    if opened.stopped:
        out.print("[bold red]■ stopped[/]: nothing is signed until two root officers resume it")


def _day(iso: str) -> str:
    """`2022-04-21 08:00`."""
    return iso[:16].replace("T", " ")


def _is(key: TrustedKey, at: Moment) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if at < key.not_before:
        return "announced"
    return "signing" if key.signs(at) else "over" if at >= key.needed_until else "ended"


def _shown(directory: Path, root: Root, trust: TrustList, *, at: Moment | None = None) -> dict[str, Any]:
    there = zone(trust.publisher.zone)
    here = set(store.private_keys(directory))
    moment = trust.issued if at is None else at
    return {
        "root": root.fingerprint.hex(),
        "environment": trust.environment.value,
        "version": trust.version,
        "digest": trust.digest.hex(),
        "issued": there.iso(trust.issued),
        "expires": there.iso(trust.expires),
        "stopped": store.is_stopped(directory),
        "authorities": [
            {
                "id": a.id,
                "name": a.name.as_json(),
                "base": a.base,
                "origin": a.origin,
                "zone": a.zone,
                "keys": [
                    {**_key(k, there.iso), "state": _is(k, moment), "private_key_here": k.id in here}
                    for k in a.keys
                ],
            }
            for a in trust.authorities
        ],
        "unlisted": [k.hex() for k in sorted(here) if trust.key(k) is None],
    }


def _key(key: TrustedKey, iso: Any) -> dict[str, Any]:
    return {
        "id": key.id.hex(),
        "use": key.use.value,
        "not_before": iso(key.not_before),
        "not_after": iso(key.not_after),
        "announced_at": iso(key.announced_at),
        "revoked_at": None if key.revoked_at is None else iso(key.revoked_at),
        "kinds": list(key.kinds),
    }


# ------------------------------------------------------------------------------------------------- drafts and officers


@app.command()
def announce(
    ctx: typer.Context,
    use: Annotated[
        list[Use],
        typer.Option("--use", help="For this use, given once or more. Default: credential, status."),
    ] = [Use.CREDENTIAL, Use.STATUS],  # noqa: B006  typer copies it
    renew_only: Annotated[
        bool, typer.Option("--renew-only", help="No new key: only another 90 days for the list.")
    ] = False,
    root_key: RootKeys = NO_KEYS,
    out_file: Out = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make the next keys and draft the list that announces them, a day or more before they sign."""
    directory, at = _directory(ctx), wall_clock() if now is None else now
    officers = _root_signers(root_key)  # a wrong passphrase leaves no key behind
    opened = store.open_signing(directory)
    uses = [] if renew_only else list(dict.fromkeys(use))
    rotation.retire(opened.trust, at)  # refused here, nothing is left behind
    made = store.new_keys(directory, uses, opened.trust.environment)
    trust = rotation.announce_next(
        opened.trust,
        {u: s.public for u, s in made.items()},
        at,
        time_to_sign=0 if _are_enough(officers, opened.root) else rotation.TIME_TO_SIGN,
    )
    _draft(directory, opened, trust, officers, out_file, at, as_json)


@app.command()
def emergency(
    ctx: typer.Context,
    key_id: KeyId,
    no_replacement: Annotated[
        bool, typer.Option("--no-replacement", help="Only revoke: another key signs already.")
    ] = False,
    root_key: RootKeys = NO_KEYS,
    out_file: Out = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Revoke a stolen key for good, and put a new one in its place that signs at once."""
    directory, at = _directory(ctx), wall_clock() if now is None else now
    officers = _root_signers(root_key)
    opened = store.open_signing(directory)
    stolen = _key_id(key_id)
    rotation.emergency(opened.trust, stolen, None, at)  # refused here, nothing is left behind
    key, replacement = opened.trust.key(stolen), None
    if key is not None and not no_replacement and opened.trust.authority_of(stolen) is opened.trust.publisher:
        replacement = store.new_keys(directory, [key.use], key.environment)[key.use].public
    trust = rotation.emergency(opened.trust, stolen, replacement, at)
    _draft(directory, opened, trust, officers, out_file, at, as_json)


@app.command()
def recognise(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The other city's trust list.",
            show_default=False,
        ),
    ],
    root: Annotated[
        Path, typer.Option("--root", metavar="FILE", exists=True, dir_okay=False, help="Its file `root`.")
    ],
    fingerprint: Annotated[
        str,
        typer.Option(
            "--fingerprint", metavar="HEX", help="Of its root, as that city's officers gave it to you."
        ),
    ],
    root_key: RootKeys = NO_KEYS,
    out_file: Out = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """List another city's keys as its own list has them, so that its codes are believed; again when it changes them."""
    directory, at = _directory(ctx), wall_clock() if now is None else now
    officers = _root_signers(root_key)
    opened = store.open_signing(directory)
    theirs = decode_root(_bytes(root))
    if theirs.fingerprint.hex() != fingerprint.strip().lower():
        fail(f"{root} has another fingerprint: {theirs.fingerprint.hex()}")
    other = open_trust(_bytes(file)).verify(theirs).publisher
    _draft(directory, opened, rotation.recognise(opened.trust, other, at), officers, out_file, at, as_json)


def _key_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 8:
        fail("a key id is 16 hexadecimal digits")
    return found


@app.command()
def sign(
    ctx: typer.Context,
    file: Draft,
    root_key: Annotated[
        list[Path],
        typer.Option(
            "--root-key", metavar="FILE", exists=True, dir_okay=False, help="The officer's key file."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Add a root officer's signature to a draft, in its file; needs neither a network nor the issuing keys.

    Where DIR has a trust list in force, a draft that may not follow on it is not signed.
    """
    directory = _directory(ctx)
    opened = store.open_signing(directory) if (directory / "signer" / "root").exists() else None
    content = _bytes(file)
    trust, _ = _read_draft(file, None)
    if isinstance(trust, TrustList) and opened is not None and trust.digest != opened.trust.digest:
        successor(opened.trust, trust)
    signed = _with_signatures(content, trust, _root_signers(root_key))
    write_file(file, signed)
    by = [s.key_id.hex() for s in cose.open_many(signed, most=MAX_BYTES).signatures]
    if as_json:
        print_json({"draft": str(file), "signed_by": by})
        return
    if isinstance(trust, TrustList):
        out.print(f"Version {trust.version} of the trust list, digest {trust.digest.hex()}")
        if opened is not None:
            _print_changes(opened.trust, trust)
    else:
        out.print("The order to resume")
    out.print(f"is signed by {counted(len(by), 'root key')}: {', '.join(by)}")


def _with_signatures(content: bytes, draft: TrustList | stop.Resume, officers: Sequence[KeySigner]) -> bytes:
    bare = content in (encode(draft) if isinstance(draft, TrustList) else stop.encode(draft),)
    if isinstance(draft, TrustList):
        return sign_trust(draft, officers) if bare else cosign_trust(open_trust(content), officers)
    return stop.sign_resume(draft, officers) if bare else cose.cosign(stop.open_resume(content), officers)


def _bytes(file: Path) -> bytes:
    with file.open("rb") as f:
        return f.read(MAX_BYTES + 1)


def _read_draft(file: Path, root: Root | None) -> tuple[TrustList | stop.Resume, frozenset[bytes]]:
    """What a draft says, bare or signed, and which keys of the root signed it. Raises Refused."""
    content = _bytes(file)
    if content[:1] < b"\xc0":  # a map and no tag: the bare payload
        try:
            return decode(content), frozenset()
        except Refused:
            try:
                return stop.decode(content), frozenset()
            except Refused:
                pass
            raise
    opened = cose.open_many(content, most=MAX_BYTES)
    by = frozenset() if root is None else opened.signed_by(root.by_id)
    if opened.headers.get(cose.TYP) == stop.TYPE:
        return stop.decode(stop.open_resume(content).payload), by
    return open_trust(content).unverified(), by


@app.command()
def install(ctx: typer.Context, file: Draft, now: Now = None, as_json: Json = False) -> None:
    """Make a list that two root officers signed the one in force, and publish it. An older one is refused."""
    directory, at = _directory(ctx), wall_clock() if now is None else now
    before = store.history(directory)[-1]
    trust = store.install(directory, _bytes(file), now=at)
    opened = store.open_signing(directory)
    signers = open_trust(_bytes(file)).signers(opened.root)
    _told(trust, opened, signers, True, as_json, before=before)


def _draft(
    directory: Path,
    opened: store.Signing,
    trust: TrustList,
    officers: Sequence[KeySigner],
    out_file: Path | None,
    now: Moment,
    as_json: bool,
) -> None:
    """Signed by these officers and, when that is enough, installed; a draft otherwise."""
    content = sign_trust(trust, officers) if officers else encode(trust)
    signers = open_trust(content).signers(opened.root) if officers else frozenset()
    if len(signers) >= opened.root.threshold:
        store.install(directory, content, now=now)
        _told(trust, opened, signers, True, as_json)
        return
    file = directory / "signer" / f"draft-{trust.version}" if out_file is None else out_file
    write_file(file, content)
    _told(trust, opened, signers, False, as_json, draft=file)


def _told(
    trust: TrustList,
    opened: store.Signing,
    signers: frozenset[bytes],
    installed: bool | None,
    as_json: bool,
    *,
    draft: Path | None = None,
    before: TrustList | None = None,
) -> None:
    old = opened.trust if before is None else before
    by = sorted(s.hex() for s in signers)
    if as_json:
        print_json(
            {
                "version": trust.version,
                "digest": trust.digest.hex(),
                "draft": None if draft is None else str(draft),
                "signed_by": by,
                "needed": opened.root.threshold,
                "installed": bool(installed),
                "changes": _changes(old, trust),
            }
        )
        return
    state = "is in force and public" if installed else "is a draft"
    out.print(
        f"Version [bold]{trust.version}[/] {state}, signed by {len(by)} of {len(opened.root.keys)} root keys."
    )
    out.print(f"  digest {trust.digest.hex()}")
    _print_changes(old, trust)
    if draft is not None:
        out.print(
            f"  draft {plain(draft)}: `sign` it with {opened.root.threshold} root keys, then `install` it"
        )


def _changes(old: TrustList, new: TrustList) -> list[dict[str, Any]]:
    """What the new list changes in keys: added, revoked, removed."""
    iso = zone(new.publisher.zone).iso
    found = []
    for authority in new.authorities:
        for key in authority.keys:
            was = old.key(key.id)
            if was is None or was.revoked_at != key.revoked_at:
                change = "added" if was is None else "revoked"
                found.append({"change": change, "authority": authority.id, **_key(key, iso)})
    for authority in old.authorities:
        for key in authority.keys:
            if new.key(key.id) is None:
                found.append({"change": "removed", "authority": authority.id, **_key(key, iso)})
    return found


def _print_changes(old: TrustList, new: TrustList) -> None:
    changes = _changes(old, new)
    if not changes:
        out.print("  no key changes")
        return
    lines = table("key", "change", "use", "from", "until", texts=["change", "use"])
    for c in changes:
        lines.add_row(c["id"], c["change"], c["use"], _day(c["not_before"]), _day(c["not_after"]))
    out.print(lines)


# --------------------------------------------------------------------------------------------------------- kill switch


@app.command("stop")
def stop_(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for those who come after.")
    ] = "",
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Kill switch: nothing is signed any more; whatever was signed goes on being verified. Always safe."""
    directory = _directory(ctx)
    first = store.stop_signing(directory, reason, now=wall_clock() if now is None else now)
    if as_json:
        print_json({"stopped": True, "was_stopped": not first})
    else:
        out.print(
            "[bold red]■ stopped[/]" + ("" if first else " already") + ": nothing is signed from here on."
        )


@app.command()
def resume(
    ctx: typer.Context,
    root_key: RootKeys = NO_KEYS,
    order: Annotated[
        Path | None,
        typer.Option(
            "--order", metavar="FILE", exists=True, dir_okay=False, help="An order that two officers signed."
        ),
    ] = None,
    out_file: Out = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Let a stopped signer go on, by order of two root officers.

    With two root keys at once; without, the order is left as a draft for `sign`, and carried out with --order within
    a day.
    """
    directory, at = _directory(ctx), wall_clock() if now is None else now
    root = store.read_root(directory)
    draft = None
    try:
        if order is not None:
            content = _bytes(order)
        else:
            made, officers = store.draft_resume(directory, now=at), _root_signers(root_key)
            content = stop.sign_resume(made, officers) if officers else stop.encode(made)
            if not _are_enough(officers, root):
                draft = directory / "signer" / "draft-resume" if out_file is None else out_file
                write_file(draft, content)
        if draft is None:
            store.resume_signing(directory, content, now=at)
    except Conflict as problem:
        fail(str(problem))
    if as_json:
        print_json({"stopped": draft is not None, "draft": None if draft is None else str(draft)})
    elif draft is None:
        out.print("[bold green]● signing again[/]")
    else:
        out.print(f"[bold red]■ still stopped[/]: draft {plain(draft)} needs {root.threshold} root keys")


# -------------------------------------------------------------------------------------------------------------- sunset


@app.command()
def sunset(
    ctx: typer.Context,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY-ID", help="This key, and no other.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Publish private credential keys 28 days after their end, so that old codes prove nothing any more.

    From then on anybody could have made them. Status and log keys are destroyed unpublished: what they signed is the
    public's evidence. Exit code 3 when a key that was asked for is still needed.
    """
    directory, at = _directory(ctx), wall_clock() if now is None else now
    opened = store.open_signing(directory)
    if at > wall_clock() and opened.root.environment is Environment.PRODUCTION:
        fail("a private key is not published by a clock that is ahead", Exit.UNUSABLE)
    done = store.sunset(directory, now=at, only=None if key is None else _key_id(key))
    if as_json:
        print_json(
            {
                "published": [k.id.hex() for k in done.published],
                "destroyed": [k.id.hex() for k in done.destroyed],
            }
        )
        return
    for found, what in ((done.published, "published"), (done.destroyed, "destroyed")):
        for gone in found:
            out.print(f"{gone.id.hex()} {gone.use}: private key {what}")
    if not (done.published or done.destroyed):
        out.print("No private key is over for long enough.")
