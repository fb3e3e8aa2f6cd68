"""`kangma demo`: an invented city lives two weeks, and its codes are derived day by day."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from kangma.city import City, make_city
from kangma.cli.code import show
from kangma.cli.report import DayCount, Report, render
from kangma.cli.serve import run
from kangma.cli.terminal import SIGNS, Json, fail, out, plain, print_json, progress, sign, table, wall_clock
from kangma.credential.issue import shown as shown_text
from kangma.credential.venue_code import key_text
from kangma.gateway.front.listening import listen
from kangma.gateway.front.people.sheet import about, picture
from kangma.policy.rules import Policy
from kangma.publish.answers import code_of_person
from kangma.publish.city import CityName, name_city, the_signer
from kangma.publish.credentials import key_of, on_paper
from kangma.publish.cycle import Cycled, cycle
from kangma.publish.policies import texts_of
from kangma.publish.release import read_table
from kangma.publish.signer import ReleaseSigner
from kangma.signing.keys import Environment
from kangma.store.durable import write_file
from kangma.store.front import prepare
from kangma.store.receive import receive_all
from kangma.store.releases import last_release
from kangma.store.state import State, create
from kangma.store.venues import Venues
from kangma.terms import DAY, Moment, Text, calendar, moment, zone
from kangma.terms import State as Colour

POLICY = "beijing-2022-04-22"
CITY = CityName(
    "kangma-demo",
    Text("示例市", "Demo City"),
    "https://kangma.example",
    "kangma.example/kangma-demo",
    Environment.DEVELOPMENT,
    "Asia/Shanghai",
)
START = date(2022, 4, 15)
MARK = "KANGMA-DEMO"
SHOWN = (Colour.GREEN, Colour.REMIND, Colour.POPUP, Colour.YELLOW, Colour.RED, Colour.UNKNOWN)
COLOURS = {word: colour for colour, (_, word, _) in SIGNS.items()}
#: Rules whose holds are worth explaining first: what a resident would not have guessed.
TELLING = ("A-R4", "A-R5", "A-P3", "A-Y8", "A-R8", "A-P4a", "A-P4b", "A-P4c", "A-P4d", "A-R2", "A-R1")


def demo(
    residents: Annotated[
        int, typer.Option("--residents", min=100, help="How many people live in the city.")
    ] = 20_000,
    days: Annotated[int, typer.Option("--days", min=1, help="How many days it lives.")] = 14,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same city.")] = 1,
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the city, its state and the report go.")
    ] = Path("out/demo"),
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=65_535,
            help="Then open its front door on this port, until Ctrl-C: its days end today.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a city, live its days, count codes by colour and rule, explain three people, write a report.

    Everything is invented: residents, places and epidemic. Each evening the day's documents are taken in and one cycle
    turns the wheel, by the Beijing policy of 22 April 2022 and its amendment of 4 May. With --port the days are the last
    ones, and the city is served as by `kangma serve`: addresses and people to log in as are printed.
    """
    if port is not None:
        listen("127.0.0.1", port).close()  # a port that is taken is said before the city is made
    _fresh(directory)
    city = make_city(residents, days, seed, start=START if port is None else _days_ago(days))
    counts: list[DayCount] = []
    home = directory / "state"
    with create(home, policy=[t.encode() for t in texts_of(POLICY)], now=city.zero) as state:
        name_city(home, CITY)
        with progress(quiet=as_json) as bars, the_signer(home, now=city.zero) as signer:
            bar = bars.add_task("", total=days)
            for day in range(days):
                bars.update(bar, description=f"{calendar(city.start_day + day):%-d %b}")
                done = _live(city, state, day, directory / "tables", signer)
                counts.append(_count(city, day, done))
                bars.advance(bar)
            assert signer is not None
            telling = _telling(state, done.policy)
            cards = _cards(state, signer, directory / "cards", telling, now=done.release.now)
            logins = _logins(state, telling) if port is not None else []
            door = _door(state, now=done.release.now) if port is not None else None
            clients = _clients(home, directory / "clients", now=done.release.now) if port is not None else {}
        people = [code_of_person(state, person, now=done.release.now) for person in telling.values()]
    infected = sorted(moment(str(at)) for at in city.truth()["infected_at"].to_pylist())
    counts = [_with_truth(c, bisect_right(infected, city.zero + (i + 1) * DAY)) for i, c in enumerate(counts)]
    made_with = f"kangma demo --residents {residents} --days {days} --seed {seed}"
    made_with += "" if port is None else f" --port {port}"
    report = directory / "report.html"
    report.write_text(render(_report(city, counts, done.policy, people, made_with)), encoding="utf-8")
    if as_json:
        print_json(
            {
                "days": [_as_json(c) for c in counts],
                "people": people,
                "report": str(report),
                "cards": {name: str(file) for name, file in cards.items()},
                "public": str(home / "public"),
                "as_of": zone(CITY.zone).iso(done.release.now),
                **(
                    {}
                    if port is None
                    else {
                        "address": _address(port),
                        "logins": logins,
                        "clients": clients,
                        "door": f"{_address(port)}/venue#{door}",
                    }
                ),
            }
        )
        if port is not None:
            run(home, port)
        return
    _tell(counts, done.policy, people)
    out.print(
        f"\nReport: [bold]{plain(report)}[/]\nState:  {plain(home)} (try `kangma audit`, `kangma trace`)\n"
        f"Tables: {plain(directory / 'tables')}\nPublic: {plain(home / 'public')} (all that a door needs)"
    )
    out.print("\nCodes on paper, to scan or to check with no network:")
    at = zone(CITY.zone).iso(done.release.now)
    for name, file in cards.items():
        out.print(f"  {sign(COLOURS[name])} {plain(file)}")
    text = next(iter(cards.values())).with_suffix(".txt")
    out.print(f'  kangma verify "$(cat {plain(text)})" --public {plain(home / "public")} --now {at}')
    if port is not None:
        _tell_clients(port, clients)
        _tell_logins(port, logins)
        out.print(f"A door to scan at, on another screen: {_address(port)}/venue#{door}\n", soft_wrap=True)
        run(home, port)


def _days_ago(days: int) -> date:
    """The first of so many days that are over."""
    return calendar(zone(CITY.zone).day(wall_clock()) - days)


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _logins(state: State, people: Mapping[Colour, int]) -> list[dict[str, str]]:
    """A document and a name of somebody of each colour: all of them invented."""
    found = []
    for colour, person in sorted({**people, Colour.GREEN: _green(state)}.items()):
        known = state.vault.open(key_of(state, person))
        assert known is not None
        said = {"id_type": known.id_type, "id_number": known.id_number, "name": known.name}
        found.append({"code": SIGNS[colour][1]} | {k: v or "" for k, v in said.items()})
    return found


def _door(state: State, *, now: Moment) -> str:
    """The key of a door that is registered at a place of the city."""
    with state.engine.work() as con:
        state.raw(con)
        row = con.execute(
            "SELECT place_id, name FROM raw_places WHERE kind = 'venue' ORDER BY place_id"
        ).fetchone()
    assert row is not None
    with Venues(prepare(state.path)) as venues:
        made, key = venues.register(row[0], row[1], now=now)
    return key_text(made.venue, key)


def _clients(home: Path, folder: Path, *, now: Moment) -> dict[str, str]:
    """A laboratory and a ride-hailing platform, registered; where their private keys lie, to try them out."""
    from joserfc.jwk import ECKey  # noqa: PLC0415  only a demo with a door needs it

    from kangma.gateway.front.who.assertions import public_key  # noqa: PLC0415  as above
    from kangma.store.front import FrontStore, prepare  # noqa: PLC0415  as above
    from kangma.store.front_clients import PARTNER, SOURCE, ClientStore  # noqa: PLC0415  as above

    folder.mkdir(mode=0o700, exist_ok=True)
    made = {}
    with FrontStore(prepare(home)) as front:
        for name, kind, scope in (
            ("demo-lab", SOURCE, "source:tests"),
            ("demo-cars", PARTNER, "ride:check"),
        ):
            key = ECKey.generate_key("P-256")
            file = folder / f"{name}.pem"
            write_file(file, key.as_pem(private=True), mode=0o600)
            ClientStore(front).add(name, kind, [scope], [public_key(key.as_pem(private=False))], now=now)
            made[name] = str(file)
    return made


def _tell_clients(port: int, clients: Mapping[str, str]) -> None:
    out.print(
        "\nA laboratory and a ride-hailing platform, with their keys (examples/laboratory.py, examples/rides.py):"
    )
    for name, file in clients.items():
        out.print(f"  {plain(name)}: {plain(file)}")
    out.print(
        f"  A token: POST {_address(port)}/oauth/token, by an assertion for (aud) {plain(CITY.base)}/oauth/token",
        soft_wrap=True,
    )


def _tell_logins(port: int, logins: list[dict[str, str]]) -> None:
    out.print(
        f"\nThe front door: [bold]{_address(port)}[/]  doors: {_address(port)}/scan  API: /openapi.json"
    )
    rows = table("code", "type", "number", "name", title="People to log in as; the code is printed below")
    for who in logins:
        rows.add_row(sign(COLOURS[who["code"]]), *(plain(who[k]) for k in ("id_type", "id_number", "name")))
    out.print(rows)
    out.print("Ctrl-C ends it; `kangma serve` on the state opens it again.\n")


def _fresh(directory: Path) -> None:
    """An empty folder of the demo's own; only what an earlier demo made is replaced."""
    if directory.exists() and not directory.is_dir():
        fail(f"{directory} is not a folder")
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARK).exists():
            fail(f"{directory} is not empty and is not a demo's")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).write_text("Made by `kangma demo`, which replaces this folder.\n")


def _live(city: City, state: State, day: int, tables: Path, signer: ReleaseSigner | None) -> Cycled:
    """One day: what is reported on it is written as files, taken in, and judged at midnight."""
    folder = tables / calendar(city.start_day + day).isoformat()
    folder.mkdir(parents=True)
    for kind, rows in city.arrivals(day).items():
        pq.write_table(rows, folder / f"{kind}.parquet")
    evening: Moment = city.zero + (day + 1) * DAY
    for receipt in receive_all(state, [folder], feed="city", now=evening):
        if receipt.code is not None or receipt.refused or receipt.quarantined:
            fail(f"the city wrote a bad table: {receipt.as_json()}")
    return cycle(state, now=evening, signer=signer)


def _cards(
    state: State, signer: ReleaseSigner, folder: Path, people: Mapping[Colour, int], *, now: Moment
) -> dict[str, Path]:
    """Colour → the picture of a code on paper of somebody who has it, beside it the text; the lists know them."""
    folder.mkdir()
    shown, made = {**people, Colour.GREEN: _green(state)}, {}
    for colour in sorted(shown, reverse=True):
        today = zone(CITY.zone).day(now)
        credential = on_paper(state, signer, shown[colour], today=today, now=now)
        text, (mask, until, _) = shown_text(credential), about(credential, zone(CITY.zone))
        file = folder / f"{SIGNS[colour][1]}.png"
        file.write_bytes(picture(text, mask=mask, until=until))
        file.with_suffix(".txt").write_text(text)
        made[SIGNS[colour][1]] = file
    cycle(state, now=now, signer=signer)
    return made


def _green(state: State) -> int:
    """Somebody who is plainly green."""
    out = read_table(state, last_release(state.registry), "out")
    coloured = set(out["person"].filter(pc.greater(out["state"], 0)).to_pylist())
    return next(n for n in range(state.person_count()) if n not in coloured and _has_phone(state, n))


def _has_phone(state: State, person: int) -> bool:
    """Whether a code can be sent to them: a child has no phone of its own."""
    known = state.vault.open(key_of(state, person))
    return known is not None and bool(known.phone)


def _count(city: City, day: int, done: Cycled) -> DayCount:
    about_cases = {rule.id for rule in done.policy.rules if rule.on == "cases"}
    known = sum(n for rule, n in done.by_rule.items() if rule in about_cases)
    when = calendar(city.start_day + day)
    return DayCount(when, done.by_state, done.by_rule, done.turns.num_rows, cases_known=known)


def _with_truth(count: DayCount, infected: int) -> DayCount:
    return DayCount(count.day, count.states, count.rules, count.turns, count.cases_known, infected)


def _telling(state: State, policy: Policy) -> dict[Colour, int]:
    """A person with a red code, one with a yellow one and one with a notice, each held by the most telling rule there
    is, and with a phone if any such person has one; fewer where the city has no such person."""
    last = last_release(state.registry)
    holds, out = read_table(state, last, "holds"), read_table(state, last, "out")
    shown = dict(zip(out["person"].to_pylist(), out["state"].to_pylist(), strict=True))
    rank = {rule: i for i, rule in enumerate(TELLING)}
    held: dict[int, set[tuple[int, int]]] = {}
    for rule, person in zip(holds["rule"].to_pylist(), holds["person"].to_pylist(), strict=True):
        held.setdefault(shown[person], set()).add((rank.get(policy.rules[rule].id, len(rank)), person))
    best = {}
    for colour in (Colour.RED, Colour.YELLOW, Colour.POPUP):
        persons = [person for _, person in sorted(held.get(colour, ()))]
        if persons:
            best[colour] = next((p for p in persons if _has_phone(state, p)), persons[0])
    return best


def _report(
    city: City, counts: list[DayCount], policy: Policy, people: list[dict[str, Any]], made_with: str
) -> Report:
    first, last = counts[0].day, counts[-1].day
    title = Text(
        f"一座 {city.residents:,} 人的城市，{first.month}月{first.day}日至{last.month}月{last.day}日",
        f"A city of {city.residents:,}, {first:%-d %B} to {last:%-d %B %Y}",
    )
    reasons: Mapping[str, Text] = {rule.id: rule.reason for rule in policy.rules}
    figures = [
        (Text("变动合计", "Codes turned, all days"), f"{sum(c.turns for c in counts):,}"),
        (Text("已知病例", "Cases known"), f"{counts[-1].cases_known:,}"),
        (Text("实际感染", "Infected in truth"), f"{counts[-1].infected_in_truth:,}"),
    ]
    return Report(
        title, f"{policy.id} {policy.version}", city.residents, counts, reasons, people, made_with, figures
    )


def _as_json(count: DayCount) -> dict[str, Any]:
    return {
        "day": count.day.isoformat(),
        "by_state": {s.name.lower(): count.states.get(s, 0) for s in SHOWN},
        "by_rule": dict(count.rules),
        "turns": count.turns,
        "cases_known": count.cases_known,
        "infected_in_truth": count.infected_in_truth,
    }


def _tell(counts: list[DayCount], policy: Policy, people: list[dict[str, Any]]) -> None:
    seen = [s for s in SHOWN if s is not Colour.UNKNOWN or any(c.states.get(s) for c in counts)]
    rows = table(
        "day", *(f"{SIGNS[s][0]} {SIGNS[s][1]}" for s in seen), "turned", "cases", title="Codes at midnight"
    )
    for c in counts:
        cells = [f"[{SIGNS[s][2]}]{c.states.get(s, 0):,}[/]" if c.states.get(s, 0) else "·" for s in seen]
        rows.add_row(f"{c.day:%a %-d %b}", *cells, f"{c.turns:,}", f"{c.cases_known:,}")
    rows.columns[0].no_wrap = True
    out.print(rows)
    most = {rule: max(c.rules.get(rule, 0) for c in counts) for c in counts for rule in c.rules}
    wide = 2 + max(5, *(len(f"{n:,}") for n in most.values())) if most else 7
    fit = counts[-max(1, (out.width - 8) // wide) :]
    left_out = "" if len(fit) == len(counts) else f", the last {len(fit)} days (all are in the report)"
    rules = table("rule", *(f"{c.day:%-d/%-m}" for c in fit), title=f"\nPeople held by each rule{left_out}")
    for rule in sorted(most, key=lambda r: (-most[r], r)):
        rules.add_row(plain(rule), *(f"{c.rules[rule]:,}" if rule in c.rules else "·" for c in fit))
    rules.columns[0].no_wrap = True
    out.print(rules)
    for person in people:
        out.print()
        show(person)
