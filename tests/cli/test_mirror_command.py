"""A traveller from the city next door at our door: by that city's lists, which `kangma mirror` keeps in our folder."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from town import GU, Said, done, kangma

from kangma.gateway.front.public import kind_of
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.trust import Use
from kangma.status.token import open_cwt, to_cwt
from kangma.store.signing import make_signing, open_signing
from kangma.terms import DAY, HOUR, Text, moment, zone

NOON = moment("2022-04-21T12:00:00+08:00")
ISO = zone("Asia/Shanghai").iso
NEIGHBOUR = "kangma-demo"  # the town's name for itself


def at(seconds: int) -> tuple[str, str]:
    return ("--now", ISO(NOON + seconds))


@dataclass(frozen=True)
class Border:
    """Our city, which has no residents and a door; the neighbour, which has; and a traveller's code on paper."""

    ours: Path
    neighbour: Path
    code: str

    @property
    def kept(self) -> Path:
        return self.ours / "public" / "elsewhere" / NEIGHBOUR

    def files(self) -> dict[str, bytes]:
        return {str(f.relative_to(self.kept)): f.read_bytes() for f in self.kept.rglob("*") if f.is_file()}

    def door(self, seconds: int) -> dict[str, Any]:
        said = kangma("verify", self.code, "--public", self.ours / "public", *at(seconds), "--json")
        return dict(said.json)

    def mirror(self, seconds: int, source: object = None, *more: object) -> Said:
        where = self.neighbour / "public" if source is None else source
        return kangma("mirror", self.ours, NEIGHBOUR, where, *at(seconds), *more, "--json")

    def neighbours_release(self, seconds: int) -> None:
        done("cycle", self.neighbour, *at(seconds))

    def lists(self, folder: Path | None = None) -> list[str]:
        pointer = (self.kept if folder is None else folder) / "latest.json"
        return sorted(json.loads(pointer.read_text())["lists"])


@pytest.fixture
def border(crossed: Border, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Border:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    for folder in (crossed.ours, crossed.neighbour):
        shutil.copytree(folder, tmp_path / folder.name)
    return Border(tmp_path / "ours", tmp_path / "neighbour", crossed.code)


@pytest.fixture(scope="module")
def crossed(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Border:
    """Tests take a copy."""
    folder = tmp_path_factory.mktemp("border")
    neighbour, ours = folder / "neighbour", folder / "ours"
    shutil.copytree(town, neighbour)
    ours.mkdir(mode=0o700)
    make_signing(
        ours,
        authority_id="cn-xx",
        name=Text("样本市", "Sample City"),
        base="https://xx.example",
        origin="xx.example/log",
        environment=Environment.DEVELOPMENT,
        zone="Asia/Shanghai",
        now=NOON - DAY,
    )
    told = open_signing(neighbour)
    words = ("recognise", neighbour / "public/trust", "--root", neighbour / "public/root")
    officers = ("--root-key", ours / "root/root-1.pem", "--root-key", ours / "root/root-2.pem")
    done("keys", ours, *words, "--fingerprint", told.root.fingerprint.hex(), *officers, *at(0))
    code = done("credential", neighbour, *GU.asked, *at(0))["text"]
    done("cycle", neighbour, *at(60))
    return Border(ours, neighbour, code)


def test_a_traveller_passes_and_after_their_citys_next_release_does_not(border: Border) -> None:
    assert border.door(90)["code"] == "no_list"
    first = border.mirror(90)
    assert (first.code, first.json["refused"], first.json["away"]) == (0, {}, None)
    assert first.json["taken"] == border.lists() == border.lists(border.neighbour / "public")
    door = border.door(90)
    assert (door["outcome"], door["colour"], door["issuer"]) == ("verified", "green", NEIGHBOUR)
    done("credential", border.neighbour, *GU.asked, "--withdraw", *at(100))
    border.neighbours_release(120)
    assert border.door(130)["outcome"] == "verified"  # we cannot know yet
    again = border.mirror(130)
    assert again.code == 0
    assert again.json["taken"]
    assert border.door(130)["code"] == "withdrawn"
    # a door that has the list before takes the city's own delta to this one
    for path in again.json["taken"]:
        theirs = border.neighbour / "public" / f"{path}.delta"
        assert (border.kept / f"{path}.delta").read_bytes() == theirs.read_bytes()
    before = border.files()
    (border.kept / "latest.json").unlink()  # a crash between the lists and what points to them
    quiet = border.mirror(140)
    assert (quiet.json["taken"], quiet.json["same"], border.files()) == ([], len(border.lists()), before)


def test_an_older_copy_takes_nothing_back_whatever_its_pointer_says(border: Border, tmp_path: Path) -> None:
    old, new = tmp_path / "old", border.neighbour / "public"
    shutil.copytree(new, old)
    done("credential", border.neighbour, *GU.asked, "--withdraw", *at(100))
    border.neighbours_release(120)
    assert border.mirror(130).code == 0
    before = border.files()
    said = border.mirror(140, old)
    assert said.code == 1
    assert all("rolled_back" in why for why in said.json["refused"].values())
    shutil.copy(new / "latest.json", old / "latest.json")  # it says that they are new
    pointer = json.loads((old / "latest.json").read_text())
    pointer["lists"] = {path: signed + 60 for path, signed in pointer["lists"].items()}
    (old / "latest.json").write_text(json.dumps(pointer))
    lied = border.mirror(150, old)
    assert (lied.code, sorted(lied.json["refused"])) == (1, border.lists())
    assert border.files() == before
    assert border.door(150)["code"] == "withdrawn"


def test_what_a_stranger_signed_or_anybody_changed_is_not_taken(border: Border, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(border.neighbour / "public", source)
    mine, other, *_ = (p for p in border.lists(source))
    stranger = KeySigner(Algorithm.ES256, bytes(31) + b"\7", Environment.DEVELOPMENT)
    (source / mine).write_bytes(to_cwt(open_cwt((source / mine).read_bytes()).claims, stranger))
    content = bytearray((source / other).read_bytes())
    content[-1] ^= 1
    (source / other).write_bytes(content)
    said = border.mirror(90, source)
    assert said.code == 1
    assert "untrusted" in said.json["refused"][mine]
    assert "bad_signature" in said.json["refused"][other]
    assert not {mine, other} & set(border.files())
    shown = kangma("mirror", border.ours, NEIGHBOUR, source, *at(95))
    assert f"refused {mine}: untrusted" in shown.out
    assert border.mirror(100).code == 0  # the true ones are taken as ever
    (source / mine).unlink()
    (source / other).write_bytes(bytes(600_000))
    forward = json.loads((source / "latest.json").read_text())
    forward["lists"] |= {mine: NOON + 99, other: NOON + 99, "status/../../trust": NOON + 99}
    (source / "latest.json").write_text(json.dumps(forward))
    refused = border.mirror(110, source).json["refused"]
    assert sorted(refused) == sorted([mine, other])
    assert "not there" in refused[mine]
    assert "too_many_bytes" in refused[other]
    assert border.door(110)["outcome"] == "verified"


def test_another_citys_clock_does_not_move_ours(border: Border) -> None:
    said = border.mirror(-HOUR)
    assert said.code == 1
    assert all("later than our clock" in why for why in said.json["refused"].values())
    assert border.files() == {}
    ended = border.mirror(8 * DAY)
    assert all("over" in why for why in ended.json["refused"].values())


def test_the_source_goes_away_and_the_door_goes_on_and_says_since_when(
    border: Border, tmp_path: Path
) -> None:
    assert border.mirror(90).code == 0
    before = border.files()
    source = tmp_path / "gone"
    for nonsense in (None, "[]", "{", '{"lists": {"status/1/0": "now"}}'):
        if nonsense is not None:
            source.mkdir(exist_ok=True)
            (source / "latest.json").write_text(nonsense)
        said = border.mirror(30 * HOUR, source)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "no public folder there" in said.err
    assert border.mirror(30 * HOUR, "http://127.0.0.1:9").code == 3
    assert border.files() == before
    door = border.door(30 * HOUR)
    assert (door["outcome"], door["colour"]) == ("stale", "green")
    assert door["stale_since"] == ISO(NOON + 60 + DAY)
    assert border.door(8 * DAY)["code"] == "list_over"


def test_a_pointer_that_names_less_takes_a_list_only_when_it_would_be_called_stale(
    border: Border, tmp_path: Path
) -> None:
    assert border.mirror(90).code == 0
    (tmp_path / "less").mkdir()
    (tmp_path / "less/latest.json").write_text('{"lists": {}}')
    assert border.mirror(23 * HOUR, tmp_path / "less").json["removed"] == []
    gone = border.mirror(25 * HOUR, tmp_path / "less")
    assert gone.json["removed"]
    assert border.files() == {}


def test_a_city_that_is_recognised_no_more_is_gone_at_the_next_run(border: Border) -> None:
    assert border.mirror(90).code == 0
    strange = border.kept.with_name("cn-zz")
    shutil.copytree(border.kept, strange)
    city = open_signing(border.ours).trust.authority(NEIGHBOUR)
    assert city is not None
    officers = ("--root-key", border.ours / "root/root-1.pem", "--root-key", border.ours / "root/root-2.pem")
    for key in city.keys:
        if key.use is Use.STATUS:
            done("keys", border.ours, "emergency", key.id.hex(), *officers, *at(200))
    assert border.door(210)["code"] == "bad_list"  # before anybody has cleared up
    said = border.mirror(220)
    assert all("untrusted" in why for why in said.json["refused"].values())
    assert said.json["removed"]
    assert not strange.exists()
    assert not border.kept.exists()
    for name in ("cn-zz", "cn-xx", "../signer"):
        wrong = kangma("mirror", border.ours, name, border.neighbour / "public", *at(230))
        assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)
        assert "does not recognise this city; it names kangma-demo" in wrong.err
    nowhere = kangma("mirror", border.ours / "nothing", NEIGHBOUR)
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)


def events(border: Border) -> list[dict[str, Any]]:
    lines = (border.ours / "log/events.ndjson").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "timestamp"} for line in lines]


def test_a_copy_that_gets_no_newer_is_told_by_code_words_and_log(border: Border) -> None:
    assert border.mirror(90).code == 0
    assert (border.mirror(60 + HOUR).code, border.mirror(60 + HOUR + 1).code) == (0, 1)
    late = border.mirror(3 * HOUR + 100)  # that city has made no release since
    assert (late.code, late.json["refused"], late.json["away"]) == (1, {}, None)
    assert late.err.count("\n") == 1
    assert "the newest list of it here is 3 hours old" in late.err
    assert "after a day doors show its codes as last known" in late.err
    assert border.mirror(3 * HOUR + 100, None, "--old-after", "4").code == 0
    assert border.mirror(3 * HOUR + 100, "http://127.0.0.1:9").code == 3
    taken, *_, old, _, away, still = events(border)
    assert (taken["event"], taken["city"], taken["age_seconds"]) == ("lists of another city", NEIGHBOUR, 30)
    assert old == {
        "event": "lists of another city are old", "level": "warning", "city": NEIGHBOUR, "age_seconds": 3 * HOUR + 40,
    }  # fmt: skip
    assert (away["event"], away["level"]) == ("lists of another city cannot be had", "warning")
    assert "cannot be reached" in away["why"]
    assert still == old
    border.neighbours_release(3 * HOUR + 120)
    assert border.mirror(3 * HOUR + 130).code == 0


def test_of_a_city_of_which_nothing_came_it_says_so(border: Border) -> None:
    said = border.mirror(-HOUR)  # all of it is signed later than our clock says
    assert said.code == 1
    assert "nothing of it stands here; doors verify no code of it" in said.err


def test_naming_a_city_that_is_recognised_no_more_removes_its_lists(border: Border) -> None:
    strange = border.kept.with_name("cn-zz")
    shutil.copytree(border.neighbour / "public/status", strange / "status")
    said = kangma("mirror", border.ours, "cn-zz", border.neighbour / "public", *at(230))
    assert said.code == 2
    assert "cn-zz: the trust list names it no more; its lists are removed" in said.err
    assert not strange.exists()


def test_it_goes_on_until_it_is_told_to_stop(border: Border) -> None:
    words = ("mirror", border.ours, NEIGHBOUR, border.neighbour / "public", "--every", "1", *at(HOUR))
    command = [sys.executable, "-m", "kangma", *map(str, words)]
    hidden = border.neighbour / "hidden"
    (border.neighbour / "public").rename(hidden)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as going:
        try:
            assert going.stderr is not None
            assert "no public folder there" in going.stderr.readline()  # and it tries again
            assert "nothing of it stands here" in going.stderr.readline()
            hidden.rename(border.neighbour / "public")
            until = time.monotonic() + 30
            while not (border.kept / "latest.json").exists() and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            going.send_signal(signal.SIGTERM)
        out, said = going.communicate(timeout=30)
    assert going.returncode == 0
    assert "nothing of it stands here" not in said  # said once, however often it looks
    assert "示例市 Demo City (kangma-demo)" in out
    assert "taken" in out


def test_every_file_of_it_is_handed_out_and_nothing_else_that_lies_there(border: Border) -> None:
    assert border.mirror(90).code == 0
    done("credential", border.neighbour, *GU.asked, "--withdraw", *at(100))
    border.neighbours_release(120)
    assert border.mirror(130).code == 0
    for path in border.files():
        assert kind_of(f"elsewhere/{NEIGHBOUR}/{path}") == kind_of(path), path
    for path in (
        f".{NEIGHBOUR}.lock",
        f"{NEIGHBOUR}/root",
        f"{NEIGHBOUR}/../trust",
        f"{NEIGHBOUR}/status/1/.0.tmp",
    ):
        assert kind_of(f"elsewhere/{path}") is None
    modes = {f.stat().st_mode & 0o044 for f in border.kept.rglob("*")}
    assert modes == {0o044}  # a web server of another user reads it


def test_nobody_takes_it_for_the_citys_own(town: Path, tmp_path: Path) -> None:
    """Neither the audit, nor a stranger's, nor a backup."""
    state = tmp_path / "state"
    shutil.copytree(town, state)
    there = state / "public" / "elsewhere" / "cn-zz"
    shutil.copytree(state / "public" / "status", there / "status")
    (there / "latest.json").write_text("{}")
    for list_ in there.rglob("0"):
        list_.write_bytes(b"not ours to judge")
    for asked in (("audit", state), ("audit", "--public", state / "public")):
        said = kangma(*asked, *at(0))
        assert said.code == 0, said
    assert kangma("backup", state, tmp_path / "backup", *at(0)).code == 0
    assert not [f for f in (tmp_path / "backup").rglob("*") if "elsewhere" in f.parts]
    done("cycle", state, *at(600))
    assert (there / "latest.json").exists()
