"""`kangma client DIR …`: who may send evidence, which partners may check rides, and batches that the brake holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kangma import terms
from kangma.cli.terminal import (
    Json,
    Now,
    StateDir,
    counted,
    fail,
    out,
    plain,
    print_json,
    table,
    wall_clock,
    when,
)
from kangma.gateway.front.clients.outward import target
from kangma.gateway.front.clients.signatures import public_jwk
from kangma.gateway.front.who.assertions import public_key, scopes_of
from kangma.publish.city import city_name
from kangma.store.front import FrontStore, prepare
from kangma.store.front_clients import BRAKE_FACTOR, BRAKE_FLOOR, PARTNER, SOURCE, ClientStore
from kangma.store.front_hooks import Hook, HookStore
from kangma.store.hook_keys import HookKeys
from kangma.store.state import open_state
from kangma.store.submissions import REJECT, RELEASE, Submissions

app = typer.Typer(
    help="Sources and partners of the front door: registered, changed, closed; batches that the brake holds.",
    no_args_is_help=True,
    add_completion=False,
)
brake = typer.Typer(
    help="Batches with far more positives than their source ever sends: they wait for two people.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(brake, name="brake")
hook_key = typer.Typer(
    help="The key by which partners are told unasked: which it is, the next one, and the turn.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(hook_key, name="hook-key")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The client's name.", show_default=False)]
Batch = Annotated[str, typer.Argument(metavar="BATCH", help="As `brake list` names it.", show_default=False)]
Officer = Annotated[str, typer.Option("--officer", metavar="NAME", help="Who agrees.")]
Keys = Annotated[
    list[Path],
    typer.Option(
        "--key", metavar="FILE", exists=True, dir_okay=False,
        help="A public key, P-256 or Ed25519, as JWK or PEM; twice for the one in use and the next.",
    ),
]  # fmt: skip
Factor = Annotated[
    int | None,
    typer.Option(
        "--brake-factor", min=0,
        help=f"Hold a batch with more positives than this many times the usual; 0 never. At first {BRAKE_FACTOR}.",
    ),
]  # fmt: skip
Floor = Annotated[
    int | None,
    typer.Option("--brake-floor", min=0, help=f"So many positives are never held. At first {BRAKE_FLOOR}."),
]


@app.callback()
def client(ctx: typer.Context, directory: StateDir) -> None:
    ctx.obj = directory


@contextmanager
def _front(ctx: typer.Context) -> Iterator[FrontStore]:
    directory: Path = ctx.obj
    open_state(directory).close()  # says what is wrong with a directory that is none
    with FrontStore(prepare(directory)) as front:
        yield front


@contextmanager
def _submissions(ctx: typer.Context) -> Iterator[Submissions]:
    with _front(ctx) as front, open_state(ctx.obj) as state:
        made = Submissions(state, front)
        try:
            yield made
        finally:
            made.close()


@app.command("add")
def add(
    ctx: typer.Context,
    name: Name,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="source or partner.")],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", metavar="SCOPE", help="source:tests, source:vaccinations and so on, or ride:check."
        ),
    ],
    key: Keys,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of HL7 and FHIR times without offset. Without it they are refused.",
        ),
    ] = None,
    factor: Factor = None,
    floor: Floor = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Register a client. Its name names its feed, or a partner to residents, and is never given again."""
    if kind not in (SOURCE, PARTNER):
        fail(f"--kind is {SOURCE} or {PARTNER}")
    if zone is not None:
        try:
            terms.zone(zone)
        except ValueError as problem:
            fail(str(problem))
    keys = [public_key(file.read_bytes()[:65_536]) for file in key]
    with _front(ctx) as front:
        made = ClientStore(front).add(
            name, kind, scopes_of(scope), keys, zone=zone, now=wall_clock() if now is None else now,
            brake_factor=BRAKE_FACTOR if factor is None else factor, brake_floor=BRAKE_FLOOR if floor is None else floor,
        )  # fmt: skip
    if as_json:
        return print_json(made.as_json())
    out.print(f"{plain(made.name)} is registered: {plain(' '.join(sorted(made.scopes)))}")
    city = city_name(ctx.obj)
    if city is not None:
        out.print(f"It asks for its tokens at {plain(city.base)}/oauth/token")
    return None


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """Every client, closed ones too."""
    with _front(ctx) as front:
        found, hooks = ClientStore(front).all(), HookStore(front).hooks()
    if as_json:
        told = {name: x.as_json() for name, x in hooks.items()}
        return print_json({"clients": [c.as_json() | {"hook": told.get(c.name)} for c in found]})
    rows = table("client", "kind", "scopes", "keys", "brake", "told at", "waits", "")
    for c in found:
        held = "off" if not c.brake_factor else f"{c.brake_factor} × usual, over {c.brake_floor}"
        rows.add_row(
            plain(c.name), c.kind, plain(" ".join(sorted(c.scopes))), str(len(c.keys)),
            held if c.kind == SOURCE else "", *_told(hooks.get(c.name)), "closed" if c.closed_at is not None else "",
        )  # fmt: skip
    return out.print(rows)


def _told(hook: Hook | None) -> tuple[str, str]:
    if hook is None:
        return "", ""
    return plain(hook.url), f"{hook.waiting:,}" + (f" ({hook.why}, {hook.tries} tries)" if hook.why else "")


@app.command("change")
def change(
    ctx: typer.Context,
    name: Name,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="All its public keys from now on.",
        ),
    ] = None,
    factor: Factor = None,
    floor: Floor = None,
    as_json: Json = False,
) -> None:
    """Give a client other keys, or its brake another setting."""
    keys = None if not key else [public_key(file.read_bytes()[:65_536]) for file in key]
    with _front(ctx) as front:
        made = ClientStore(front).change(name, keys=keys, brake_factor=factor, brake_floor=floor)
    if as_json:
        return print_json(made.as_json())
    return out.print(f"{plain(made.name)} is changed.")


@app.command("hook")
def hook(
    ctx: typer.Context,
    name: Name,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Where it is told; without it, nothing more is."),
    ] = None,
    private: Annotated[
        bool,
        typer.Option("--private", help="It may lie in a network of ours, or by http on this machine."),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Tell a partner, at this address, that a code turned during an open ride about which it asked."""
    to = None if url is None else target(url, private=private)
    with _front(ctx) as front:
        client, hooks = ClientStore(front).open(name), HookStore(front)
        if client.kind != PARTNER:
            fail(f"{name} is no partner")
        if to is None:
            hooks.end(client)
        else:
            hooks.set(client, to.url, private=private, now=wall_clock() if now is None else now)
        key = public_jwk(hooks.keys.told()[0].key)
    if as_json:
        return print_json({"name": name, "url": None if to is None else to.url, "key": key})
    if to is None:
        return out.print(f"{plain(name)} is told nothing more unasked.")
    out.print(f"{plain(name)} is told at {plain(to.url)}, signed by this key:")
    return out.print(plain(json.dumps(key)))


@hook_key.command("show")
def shown(ctx: typer.Context, as_json: Json = False) -> None:
    """The key by which partners are told, and the next one."""
    _say_keys(ctx, as_json)


@hook_key.command("next")
def announced(ctx: typer.Context, now: Now = None, as_json: Json = False) -> None:
    """Make the next key. Partners find it at /partner/v1/keys beside the one in use; it signs after `turn`."""
    with _front(ctx) as front:
        HookKeys(front).announce(now=wall_clock() if now is None else now)
    _say_keys(ctx, as_json)


@hook_key.command("turn")
def turned(
    ctx: typer.Context,
    stolen: Annotated[
        bool,
        typer.Option(
            "--stolen", help="The key in use was stolen: the next one is used at once, and made if need be."
        ),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Sign by the next key from now on. Refused until partners were told it for a day."""
    with _front(ctx) as front:
        HookKeys(front).turn(now=wall_clock() if now is None else now, stolen=stolen)
    _say_keys(ctx, as_json)


def _say_keys(ctx: typer.Context, as_json: bool) -> None:
    with _front(ctx) as front:
        found = HookKeys(front).told()
    if as_json:
        return print_json({"keys": [{"key": public_jwk(one.key), "since": one.since} for one in found]})
    city = city_name(ctx.obj)
    for one, what in zip(found, ("in use", "next"), strict=False):
        since = when(one.since, "UTC" if city is None else city.zone)
        out.print(f"{what}, since {since}: {plain(public_jwk(one.key)['kid'])}")
    return None


@app.command("close")
def close(ctx: typer.Context, name: Name, now: Now = None) -> None:
    """Close a client: within a second no token of it is good. What it sent stays evidence."""
    with _front(ctx) as front:
        ClientStore(front).close(name, now=wall_clock() if now is None else now)
    out.print(f"{plain(name)} is closed.")


@brake.command("list")
def held(ctx: typer.Context, now: Now = None, as_json: Json = False) -> None:
    """Batches that wait for two people."""
    with _submissions(ctx) as submissions:
        found = submissions.held(now=wall_clock() if now is None else now)
    if as_json:
        return print_json(
            {
                "held": [
                    {
                        "batch": x.submission, "source": x.source, "receipt": x.receipt, "at": x.at,
                        "positives": x.positives, "usual": round(x.usual, 2),
                        "agreed": [{"what": what, "officer": officer} for what, officer in x.agreed],
                    }
                    for x in found
                ]
            }
        )  # fmt: skip
    rows = table("batch", "source", "receipt", "positives", "usual", "agreed")
    for x in found:
        agreed = ", ".join(f"{what}: {officer}" for what, officer in x.agreed)
        rows.add_row(
            x.submission, plain(x.source), str(x.receipt), f"{x.positives:,}", f"{x.usual:.1f}", plain(agreed)
        )
    return out.print(rows if found else "No batch is held.")


@brake.command("release")
def release(
    ctx: typer.Context, batch: Batch, officer: Officer, now: Now = None, as_json: Json = False
) -> None:
    """Agree that a batch is taken in. With the second person's word it is."""
    _agree(ctx, batch, RELEASE, officer, wall_clock() if now is None else now, as_json)


@brake.command("reject")
def reject(
    ctx: typer.Context, batch: Batch, officer: Officer, now: Now = None, as_json: Json = False
) -> None:
    """Agree that a batch is thrown away. With the second person's word it is, and its source is told by its receipt."""
    _agree(ctx, batch, REJECT, officer, wall_clock() if now is None else now, as_json)


def _agree(ctx: typer.Context, batch: str, what: str, officer: str, now: int, as_json: bool) -> None:
    with _submissions(ctx) as submissions:
        done = submissions.agree(batch, what, officer, now=now)
    if as_json:
        return print_json({"batch": batch, "done": done is not None, "receipt": done and done.number})
    if done is None:
        return out.print("Noted. A second person must agree.")
    if what == REJECT:
        return out.print("Rejected. Nothing of it was taken in.")
    return out.print(f"Released: {counted(done.accepted, 'document')} taken in, receipt {done.number}.")
