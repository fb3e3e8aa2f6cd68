"""`kangma verify`: what a door types, what it reads, and what no folder and no address can talk it into."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.cells import cell_len
from town import Said, kangma

from kangma.cli.verify import EXCEPTIONS, REASONS
from kangma.credential.outcome import Reason

VECTORS = Path(__file__).parents[1] / "vectors/verify"


def vector(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return said


def lay_out(folder: Path, said: dict[str, Any], base: str = "https://code.kangma.example/") -> Path:
    """A public folder as a vector has it."""
    folder.mkdir(exist_ok=True)
    (folder / "root").write_bytes(base64.b64decode(said["root"]))
    (folder / "trust").write_bytes(base64.b64decode(said["trust"]))
    return lay_out_lists(folder, said, base)


def lay_out_lists(folder: Path, said: dict[str, Any], base: str) -> Path:
    """Those of the city at `base`, and what points to them."""
    folder.mkdir(parents=True, exist_ok=True)
    families: dict[str, int] = {}
    for uri, content in said["lists"].items():
        if uri.startswith(base):
            file = folder / uri.removeprefix(base)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
            families[file.parent.name] = 1
    (folder / "latest.json").write_text(json.dumps({"families": families}))
    return folder


def clock(said: dict[str, Any]) -> str:
    return datetime.fromtimestamp(said["now"], UTC).isoformat()


@pytest.fixture(autouse=True)
def _marks_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


def asked(name: str, public: object, *more: object) -> Said:
    said = vector(name)
    return kangma("verify", said["text"], "--public", public, "--now", clock(said), *more)


def test_a_green_code_is_read_in_words_shape_and_both_languages(tmp_path: Path) -> None:
    public = lay_out(tmp_path / "public", vector("phone_green"))
    said = asked("phone_green", public)
    assert said.code == 0
    for words in (
        "● green",
        "绿码",
        "张*",
        "2022-04-29 00:00",
        "2 分钟前",
        "2 min old",
        EXCEPTIONS.zh,
        EXCEPTIONS.en,
    ):
        assert words in said.out
    assert all(cell_len(line) <= 80 for line in said.out.splitlines())


def test_paper_says_check_the_id_card_and_red_is_verified_too(tmp_path: Path) -> None:
    public = lay_out(tmp_path / "public", vector("paper_red"))
    said = asked("paper_red", public)
    assert said.code == 0
    assert "■ red" in said.out
    assert "请核对身份证件" in said.out
    assert "check the ID card" in said.out


def test_the_json_has_the_documented_keys_whatever_comes_out(tmp_path: Path) -> None:
    public = lay_out(tmp_path / "public", vector("phone_green"))
    keys = {"outcome", "step", "code", "colour", "valid_until", "name_mask", "kind", "lists_age_s"}
    good = asked("phone_yellow", public, "--json")
    assert set(good.json) >= keys
    assert (good.code, good.json["outcome"], good.json["colour"], good.json["step"]) == (
        0,
        "verified",
        "yellow",
        None,
    )
    assert (good.json["valid_until"], good.json["lists_age_s"]) == ("2022-04-29T00:00:00+08:00", 127)
    bad = asked("proof_old", public, "--json")
    assert set(bad.json) == set(good.json)
    assert (bad.code, bad.json["outcome"], bad.json["step"], bad.json["code"]) == (
        1,
        "refused",
        7,
        "proof_old",
    )
    assert bad.json["colour"] is None


def test_stale_lists_are_said_to_be_stale(tmp_path: Path) -> None:
    public = lay_out(tmp_path / "public", vector("stale_list"))
    said = asked("stale_list", public)
    assert said.code == 0
    assert "stale since 2022-04-28 02:41" in said.out
    assert asked("stale_list", public, "--json").json["outcome"] == "stale"


def test_every_vector_that_a_folder_can_hold_ends_as_it_says(tmp_path: Path) -> None:
    checked = 0
    for i, file in enumerate(sorted(VECTORS.glob("*.json"))):
        said = vector(file.stem)
        if said["trust"] is None or said["marks"] or file.stem in ("expired_by_the_publisher", "worst_sizes"):
            continue  # of a folder the list is read that the code names, and a call begins without marks
        public = lay_out(tmp_path / str(i), said)
        lay_out_lists(public / "elsewhere/cn-tj", said, "https://jkm.tianjin.example/")
        shown = kangma("verify", said["text"], "--public", public, "--now", clock(said), "--json")
        expected = said["expected"]
        assert (shown.json["outcome"], shown.json["code"], shown.json["colour"]) == (
            expected["outcome"],
            expected["reason"],
            expected["colour"],
        ), file.stem
        assert shown.code == (0 if expected["reason"] is None else 1)
        checked += 1
    assert checked > 100


def test_a_code_of_a_city_that_ours_recognises_is_verified_with_that_citys_lists(tmp_path: Path) -> None:
    said, ours = vector("another_authority"), tmp_path / "ours"
    public = lay_out(ours, said)
    (base,) = {uri.partition("status/")[0] for uri in said["lists"]} - {"https://code.kangma.example/"}
    theirs = lay_out(tmp_path / "theirs", said, base)
    alone = asked("another_authority", public, "--json")
    assert (alone.code, alone.json["code"]) == (1, "no_list")
    for name in ("root", "trust"):
        (theirs / name).write_bytes(b"nobody reads this")
    for where in (theirs, public, tmp_path / "nowhere"):
        both = asked("another_authority", public, "--lists", where, "--json")
        wanted = (0, "verified", None) if where is theirs else (1, "not_verified", "no_list")
        assert (both.code, both.json["outcome"], both.json["code"]) == wanted
    assert asked("phone_green", public, "--lists", theirs).code == 0


def test_what_the_folder_keeps_of_a_recognised_city_is_read_without_being_told(
    tmp_path: Path, served: str
) -> None:
    said, public = vector("another_authority"), Server.folder
    (base,) = {uri.partition("status/")[0] for uri in said["lists"]} - {"https://code.kangma.example/"}
    for where in (public, served):
        assert asked("another_authority", where, "--json").json["code"] == "no_list"
    kept = lay_out_lists(public / "elsewhere/cn-tj", said, base)
    for where in (public, served):
        both = asked("another_authority", where, "--json")
        assert (both.code, both.json["outcome"], both.json["issuer"]) == (0, "verified", "cn-tj")
    list_ = next(kept.glob("status/*/0"))
    list_.write_bytes(b"broken")
    Server.answers = {"/elsewhere/cn-tj/latest.json": 503}
    for where in (public, served):
        assert asked("another_authority", where, "--json").json["outcome"] == "not_verified"
        ours = asked("phone_green", where, "--json")
        assert (ours.code, ours.json["outcome"]) == (0, "verified")
    assert ours.json["notes"] == [f"elsewhere/cn-tj/: {served} answers 503"]


def test_nothing_rolls_back_between_two_calls(tmp_path: Path) -> None:
    public = lay_out(tmp_path / "public", vector("phone_green"))
    assert asked("phone_green", public).code == 0
    older = vector("stale_list")
    lay_out(public, older)
    for _ in range(2):
        said = asked("phone_green", public, "--json")
        assert (said.code, said.json["code"]) == (1, "rolled_back")
    assert "rolled_back" in said.json["notes"][0]
    elsewhere = asked("stale_list", public, "--json", "--marks", tmp_path / "other.json")
    assert elsewhere.code == 0


def test_the_root_is_pinned_at_the_first_use_and_may_be_named(tmp_path: Path) -> None:
    said = vector("phone_green")
    public = lay_out(tmp_path / "public", said)
    assert asked("phone_green", public, "--root", said["root_fingerprint"]).code == 0
    assert asked("phone_green", public, "--root", public / "root").code == 0
    assert asked("phone_green", public, "--root", "0" * 64).code == 2
    assert asked("phone_green", public, "--root", "nowhere").code == 2
    other = bytearray(base64.b64decode(said["root"]))
    marks = next((tmp_path / "xdg/kangma/marks").glob("*.json"))
    pinned = json.loads(marks.read_text())
    marks.write_text(json.dumps({**pinned, "root": "00" * 32}))
    refused = asked("phone_green", public)
    assert (refused.code, refused.out) == (2, "")
    assert "another root is pinned" in refused.err
    marks.write_text("{")
    assert asked("phone_green", public).code == 2
    (public / "root").write_bytes(bytes(other[:-1]))
    assert asked("phone_green", public, "--marks", tmp_path / "new").code == 2


def test_a_code_may_come_by_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = vector("phone_green")
    public = lay_out(tmp_path / "public", said)
    monkeypatch.setattr(sys, "stdin", io.StringIO(said["text"] + "\n"))
    assert kangma("verify", "-", "--public", public, "--now", clock(said)).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("KM1:" + "0" * 5_000_000))
    endless = kangma("verify", "-", "--public", public, "--now", clock(said), "--json")
    assert (endless.code, endless.json["code"]) == (1, "too_long")


def test_what_is_no_public_folder_is_2_in_one_line(tmp_path: Path) -> None:
    for public in (tmp_path, tmp_path / "none", Path(__file__)):
        said = asked("phone_green", public)
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    huge = lay_out(tmp_path / "public", vector("phone_green"))
    (huge / "trust").write_bytes(bytes(300_000))
    assert asked("phone_green", huge).code == 2


def test_a_code_cannot_make_a_folder_read_beyond_its_lists(tmp_path: Path) -> None:
    from kangma.store.public_reader import list_path  # noqa: PLC0415

    base = "https://code.kangma.example"
    assert list_path(f"{base}/status/19110/0", base) == "status/19110/0"
    assert list_path(f"{base}/status/x19110.2/21", base) == "status/x19110.2/21"
    for path in (
        "../root",
        "19110/../../root",
        "/etc/passwd",
        "19110/0/",
        "19110/0.delta",
        "19110/0?x",
        "",
        "a/0",
    ):
        assert list_path(f"{base}/status/{path}", base) is None
    assert list_path("https://evil.example/status/19110/0", base) is None
    assert list_path(f"{base}.evil.example/status/19110/0", base) is None


class Server(BaseHTTPRequestHandler):
    """Serves a folder, and remembers what was asked for."""

    folder: ClassVar[Path]
    paths: ClassVar[list[str]]
    answers: ClassVar[dict[str, int]]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        file = self.folder / self.path.lstrip("/")
        code = self.answers.get(self.path, 200 if file.is_file() else 404)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        content = file.read_bytes() if code == 200 else b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    Server.folder, Server.paths, Server.answers = lay_out(tmp_path / "public", vector("phone_green")), [], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_behind_an_address_every_code_asks_for_the_same_files(served: str) -> None:
    wanted = {
        "/root",
        "/trust",
        "/latest.json",
        "/status/19110/0",
        "/status/x19110/0",
        "/elsewhere/cn-tj/latest.json",
    }
    for name in (
        "phone_green",
        "paper_red",
        "proof_old",
        "not_a_code_address",
        "wrong_authority_list_elsewhere",
    ):
        Server.paths = []
        said = asked(name, served, "--json")
        expected = vector(name)["expected"]
        assert (said.json["outcome"], said.json["code"]) == (expected["outcome"], expected["reason"])
        assert sorted(Server.paths) == sorted(wanted)


def test_an_address_that_fails_is_to_be_tried_again_and_redirects_are_not_followed(served: str) -> None:
    assert asked("phone_green", "http://127.0.0.1:9").code == 3
    for path, code in (("/trust", 500), ("/status/19110/0", 503), ("/root", 302)):
        Server.answers = {path: code}
        said = asked("phone_green", served)
        assert (said.code, said.err.count("\n")) == (3, 1)
    Server.answers = {"/status/19110/0": 404}
    assert asked("phone_green", served, "--json").json["code"] == "no_list"
    Server.answers = {}
    for nonsense in (
        "[]",
        "{",
        '{"families": {"../../x": 3}}',
        '{"families": {"19110": "many"}}',
        '{"families": 7}',
    ):
        (Server.folder / "latest.json").write_text(nonsense)
        Server.paths = []
        assert asked("phone_green", served, "--json").json["code"] == "no_list"
        assert sorted(Server.paths) == ["/elsewhere/cn-tj/latest.json", "/latest.json", "/root", "/trust"]


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    assert set(REASONS) == set(Reason)
    for said in REASONS.values():
        assert re.search(r"[\u4e00-\u9fff]", said.zh)
        assert said.en.endswith(".")
        assert max(cell_len(said.zh), cell_len(said.en)) <= 76
