"""From the files of a city to a colour at a door: the real commands, a picture that a stranger's reader decodes, and a
verifier that has no network to ask."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zxingcpp
from chromium import browser, served
from PIL import Image
from playwright.sync_api import Browser, expect
from town import Said, done, kangma
from web_built import DIST, built

from kangma.codes.turns import OUT
from kangma.intake.identity import check_character
from kangma.signing.trust import open_trust
from kangma.store.releases import last_release
from kangma.store.state import open_state
from kangma.terms import DAY, HOUR, moment

COLOURS = ("red", "yellow", "notice", "green")
MORNING = 9 * HOUR  # after the demo's last cycle, which is at midnight


@dataclass(frozen=True)
class City:
    """What `kangma demo` made, and a copy of its public folder, which is all that a door has."""

    folder: Path
    state: Path
    public: Path
    as_of: int
    texts: dict[str, str]

    def state_of_its_own(self, to: Path) -> Path:
        shutil.copytree(self.state, to / "state")
        return to / "state"

    def asked(self, number: int) -> tuple[str, ...]:
        """How to ask for resident `number` of those who were registered on the first day."""
        first = min((self.folder / "tables").iterdir())
        row = pq.read_table(first / "people.parquet").slice(number, 1).to_pylist()[0]
        return ("--id-type", row["id_type"], "--id-number", row["id_number"])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    folder = tmp_path_factory.mktemp("journey") / "demo"
    command = [sys.executable, "-m", "kangma", "demo", "--residents", "1000", "--days", "8", "--json"]
    made = subprocess.run([*command, "--out", str(folder)], check=True, capture_output=True, text=True)
    said = json.loads(made.stdout)
    assert set(said["cards"]) == set(COLOURS)
    door = folder.parent / "door" / "public"
    shutil.copytree(said["public"], door)
    texts = {}
    for colour, picture in said["cards"].items():
        (read,) = zxingcpp.read_barcodes(Image.open(picture))
        texts[colour] = read.text
        assert read.text == Path(picture).with_suffix(".txt").read_text()
    return City(folder, folder / "state", door, moment(said["as_of"]), texts)


def at_the_door(text: str, public: Path, now: int, marks: Path) -> dict[str, Any]:
    """What `kangma verify` says; its exit code is held against it."""
    said = kangma("verify", text, "--public", public, "--now", iso(now), "--marks", marks, "--json")
    assert said.code == (0 if said.json["outcome"] in ("verified", "stale") else 1)
    found: dict[str, Any] = said.json
    return found


def iso(at: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(at, UTC).isoformat()


# with no network -----------------------------------------------------------------------------------------------------


def _watched(trace: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The command in a network namespace of its own, where not even the loopback is up; its network calls traced."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("strace") is None:
        pytest.skip("NOT ROOT, OR NO unshare OR strace: nothing was verified without a network")
    strace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace)]
    environment = {k: v for k, v in os.environ.items() if "XDIST" not in k}
    return subprocess.run(
        ["unshare", "-n", *strace, sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_every_picture_is_verified_where_there_is_no_network_and_opens_no_socket(
    city: City, tmp_path: Path
) -> None:
    for colour in COLOURS:
        verify = ("-m", "kangma", "verify", city.texts[colour], "--public", str(city.public), "--json")
        more = ("--now", iso(city.as_of + MORNING), "--marks", str(tmp_path / "marks"))
        found = _watched(tmp_path / "trace", *verify, *more)
        assert found.returncode == 0, found.stderr
        said = json.loads(found.stdout)
        assert (said["outcome"], said["colour"], said["kind"]) == ("verified", colour, "paper")
        assert "AF_INET" not in (tmp_path / "trace").read_text()


def test_the_control_is_seen_and_reaches_nobody(tmp_path: Path) -> None:
    call = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    found = _watched(tmp_path / "trace", "-c", call)
    assert found.returncode != 0
    assert "unreachable" in found.stderr
    assert "AF_INET" in (tmp_path / "trace").read_text()


# in the browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def _as_vector(city: City, text: str, now: int) -> dict[str, Any]:
    """The door's folder and a code, as web/test/replay.ts takes them."""
    trust = (city.public / "trust").read_bytes()
    base = open_trust(trust).unverified().publisher.base
    lists = {
        f"{base}/{f.relative_to(city.public)}": base64.b64encode(f.read_bytes()).decode()
        for f in sorted((city.public / "status").rglob("*"))
        if f.is_file() and f.suffix != ".delta"
    }
    return {
        "name": "",
        "title": "",
        "now": now,
        "marks": {},
        "root": base64.b64encode((city.public / "root").read_bytes()).decode(),
        "trust": base64.b64encode(trust).decode(),
        "lists": lists,
        "text": text,
    }


def test_the_browser_says_the_same_of_the_same_texts(city: City, chromium: Browser, tmp_path: Path) -> None:
    now = city.as_of + MORNING
    context = chromium.new_context()
    page = context.new_page()
    built("test/browser.js")
    with served(DIST) as address:
        page.goto(f"{address}/test/index.html")
        context.set_offline(True)
        vectors = [_as_vector(city, city.texts[colour], now) for colour in COLOURS]
        observed = page.evaluate("vectors => kangma.replayAll(vectors)", vectors)
    context.close()
    for colour, found in zip(COLOURS, observed, strict=True):
        python, browsers = (
            at_the_door(city.texts[colour], city.public, now, tmp_path / "marks"),
            found["expected"],
        )
        assert python["colour"] == colour
        for ours, theirs in (("outcome",) * 2, ("colour",) * 2, ("kind",) * 2, ("name_mask", "mask")):
            assert python[ours] == browsers[theirs], (colour, ours)


def test_the_page_shows_each_colour_with_the_network_off(city: City, chromium: Browser) -> None:
    heads = {"red": "Red", "yellow": "Yellow", "notice": "Green, with a notice", "green": "Green"}
    context = chromium.new_context(viewport={"width": 320, "height": 640}, locale="en-GB", offline=True)
    page = context.new_page()
    page.goto(built("verify.html").as_uri())
    page.clock.set_fixed_time(city.as_of + MORNING)
    page.set_input_files("#folder", city.public)
    expect(page.locator("#held")).to_contain_text(re.compile("[0-9]"))
    for colour in COLOURS:
        page.fill("#text", city.texts[colour])
        page.click("#form button")
        expect(page.locator("#head")).to_have_text(heads[colour])
        assert colour in (page.get_attribute("#state", "class") or "").split()
        assert "ID card" in page.inner_text("#meta")
    context.close()


# phones --------------------------------------------------------------------------------------------------------------


def test_a_phone_is_believed_for_a_minute_and_goes_on_alone_for_two_days(city: City, tmp_path: Path) -> None:
    state = city.state_of_its_own(tmp_path)
    now = (city.as_of + MORNING) // 30 * 30
    colour = done("code", state, *city.asked(0), "--now", iso(now))["colour"]
    phone = ("--kind", "phone", "--phone", tmp_path / "phone.json")
    said = done(
        "credential", state, *city.asked(0), *phone, "--now", iso(now), "--out", tmp_path / "phone.png"
    )
    assert said["qr_version"] <= 13
    (read,) = zxingcpp.read_barcodes(Image.open(tmp_path / "phone.png"))
    assert read.text == said["text"]

    def seen(text: str, at: int) -> dict[str, Any]:
        return at_the_door(text, city.public, at, tmp_path / "marks")

    for later in (0, 30, 59):
        assert (seen(said["text"], now + later)["outcome"], seen(said["text"], now)["colour"]) == (
            "verified",
            colour,
        )
    for later in (60, 61, 90):
        refused = seen(said["text"], now + later)
        assert (refused["outcome"], refused["code"], refused["colour"]) == ("refused", "proof_old", None)

    state.rename(tmp_path / "dark")  # the origin is gone; the phone has its file, the door its folder
    for day in (1, 2):
        at = now + day * DAY
        again = done("credential", state, *phone, "--now", iso(at))
        assert again["text"] != said["text"]
        found = seen(again["text"], at)
        assert (found["outcome"], found["colour"], found["kind"]) == ("stale", colour, "phone")
    over = kangma("credential", state, *phone, "--now", iso(now + 3 * DAY))
    assert over.code == 2
    assert "no code for this day" in over.err


def test_what_is_withdrawn_is_refused_and_a_new_code_is_not(city: City, tmp_path: Path) -> None:
    state, now = city.state_of_its_own(tmp_path), (city.as_of + MORNING) // 30 * 30
    mine, marks = city.asked(1), tmp_path / "marks"
    phone = ("--kind", "phone", "--phone", tmp_path / "phone.json")
    first = done("credential", state, *mine, *phone, "--now", iso(now))["text"]
    paper = done("credential", state, *mine, "--now", iso(now))["text"]
    done("cycle", state, "--now", iso(now + 10))
    public = state / "public"
    assert at_the_door(first, public, now + 20, marks)["outcome"] == "verified"
    assert at_the_door(paper, public, now + 20, marks)["outcome"] == "verified"

    assert done("credential", state, *mine, "--withdraw", "--now", iso(now + 20)) == {"withdrawn": 4}
    assert at_the_door(first, public, now + 25, marks)["outcome"] == "verified"  # until the next cycle
    done("cycle", state, "--now", iso(now + 30))
    for text in (first, paper):
        found = at_the_door(text, public, now + 40, marks)
        assert (found["outcome"], found["code"], found["colour"]) == ("refused", "withdrawn", None)

    new = done("credential", state, *mine, *phone, "--again", "--now", iso(now + 60))["text"]
    waiting = at_the_door(new, public, now + 60, marks)
    assert (waiting["outcome"], waiting["code"]) == ("not_verified", "unknown_status")
    done("cycle", state, "--now", iso(now + 70))
    assert at_the_door(new, public, now + 80, marks)["outcome"] == "verified"
    assert kangma("audit", state).code == 0


def test_nobody_gets_a_code_for_a_person_of_whom_nothing_is_known(city: City, tmp_path: Path) -> None:
    stranger = "11010119900307001"
    number = stranger + check_character(stranger)
    said = kangma(
        "credential", city.state, "--id-type", "10", "--id-number", number, "--now", iso(city.as_of)
    )
    assert said.code == 2
    assert said.out == ""
    assert "no_person" in said.err
    assert number not in said.err


# Zhengzhou, June 2022 --------------------------------------------------------------------------------------------------


def test_a_red_written_by_hand_is_told_by_key_and_check_and_never_shown_at_a_door(
    city: City, tmp_path: Path
) -> None:
    state = city.state_of_its_own(tmp_path)
    with open_state(state) as opened:
        last = last_release(opened.registry)
        assert last is not None
        file = state / "releases" / f"{last.number:08d}" / "out.parquet"
        out = pq.read_table(file)
        victim = next(n for n in range(1_000) if n not in set(out["person"].to_pylist()))
        key = opened.person_keys(pa.array([victim], pa.uint32()))[0].hex()
    red = {"person": victim, "state": 4, "popups": 0, "reminds": 0, "next_change_at": None}
    pq.write_table(pa.concat_tables([out, pa.Table.from_pylist([red], OUT)]).sort_by("person"), file)

    said: Said = kangma("audit", state)
    assert said.code == 1
    assert f"person {key}" in said.out.replace("\n", " ")
    assert "out: " in said.out
    told = kangma("audit", state, "--json")
    assert told.code == 1
    assert {"out", "tables"} <= {d["check"] for d in told.json["differences"]}
    assert key in {d["person"] for d in told.json["differences"]}

    stopped = kangma("cycle", state, "--now", iso(city.as_of + MORNING))
    assert stopped.code == 1
    assert "damaged" in stopped.err
    assert kangma("audit", "--public", state / "public").code == 0  # what doors see never was red
