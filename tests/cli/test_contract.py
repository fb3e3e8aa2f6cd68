"""The command line is a contract: documented keys, exit codes, one line for every failure, and a light start."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len
from town import GU, LI, QIN, STRANGER, ZHOU, Said, done, kangma, write

from kangma.cli import VERBS, verb

NIGHT = ("--now", "2022-04-20T21:00:00+08:00")
CODE_KEYS = {
    "person",
    "as_of",
    "colour",
    "notices",
    "holds",
    "way",
    "way_to_green",
    "next_change_at",
    "nat",
    "vaccination",
    "policy",
}
HOLD_KEYS = {
    "rule",
    "outcome",
    "since",
    "until",
    "cap",
    "evidence",
    "authority",
    "reason",
    "clears",
    "then",
}


# ------------------------------------------------------------------------------------------------- documented JSON


def test_a_code_has_the_documented_keys(town: Path) -> None:
    for person, colour in (
        (QIN, "red"),
        (ZHOU, "green"),
        (LI, "green"),
        (GU, "green"),
        (STRANGER, "unknown"),
    ):
        answer = done("code", town, *person.asked, *NIGHT)
        assert set(answer) >= CODE_KEYS
        assert answer["colour"] == colour
        assert re.fullmatch("[0-9a-f]{32}", answer["person"])
        assert answer["as_of"] == "2022-04-20T21:00:00+08:00"
        assert set(answer["policy"]) >= {"id", "version", "digest"}
        for hold in answer["holds"]:
            assert set(hold) >= HOLD_KEYS
            assert all(set(t) == {"zh", "en"} for t in (hold["reason"], *hold["clears"]))
        for notice in answer["notices"]:
            assert set(notice) >= {"code", "kind", "rule"}
            assert notice["kind"] in ("popup", "remind")


def test_a_red_code_tells_its_way_out(town: Path) -> None:
    answer = done("code", town, *QIN.asked, *NIGHT)
    (leg,) = answer["way"]
    assert set(leg) >= {"to", "zh", "en", "earliest", "by_itself", "steps", "or"}
    assert (leg["to"], leg["earliest"]) == ("green", None)  # nobody can date a discharge
    assert answer["way_to_green"]["earliest"] is None
    assert answer["way_to_green"]["zh"] == "".join(step["zh"] for step in leg["steps"]) != ""
    assert answer["way_to_green"]["en"] == " ".join(step["en"] for step in leg["steps"]) != ""
    assert [h["evidence"] for h in answer["holds"]] == ["cases"]


def test_an_unknown_person_is_neither_green_nor_red_in_the_same_shape(town: Path) -> None:
    answer = done("code", town, *STRANGER.asked, *NIGHT)
    known = done("code", town, *GU.asked, *NIGHT)
    assert answer["colour"] == "unknown"
    assert set(answer) == set(known)
    assert (answer["holds"], answer["notices"]) == ([], [])
    assert "Nothing that was absorbed speaks of this person." in kangma("code", town, *STRANGER.asked).out


def test_a_trace_has_the_documented_keys(town: Path) -> None:
    found = done("trace", town, "--case", "C-1", *NIGHT)
    assert set(found) >= {"case", "window", "exposures"}
    assert (found["case"], len(found["window"])) == ("C-1", 2)
    (met,) = found["exposures"]
    assert set(met) >= {"person", "minutes", "meetings", "first_at", "last_at", "places"}
    assert (met["minutes"], met["meetings"], met["places"]) == (30, 1, ["noodles"])
    assert met["person"] == done("code", town, *ZHOU.asked, *NIGHT)["person"]


def test_a_simulation_has_the_documented_keys_and_writes_nothing(town: Path) -> None:
    before = done("code", town, *LI.asked, *NIGHT)
    found = done("policy", "simulate", town, "protocol-9-2022-06-28", *NIGHT)
    assert set(found) >= {"people", "turns", "by_rule", "by_colour", "by_district"}
    assert found["turns"] == sum(n for to in found["by_colour"].values() for n in to.values()) > 0
    assert done("code", town, *LI.asked, *NIGHT) == before


def test_every_row_that_came_is_counted_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done("init", state, "--policy", "beijing-2022-04-22")
    tests = tmp_path / "tests.csv"
    head = "id_type,id_number,specimen_id,sampled_at,reported_at,method,pooled,result,lab"
    row = "20,KX6617751,S-{},2022-04-19T08:00:00+08:00,2022-04-19T18:00:00+08:00,nat,false,{},L"
    rows = [
        row.format(1, "negative"),
        row.format(1, "negative"),
        row.format(2, "perhaps"),
        row.format(3, "positive"),
    ]
    tests.write_text("\n".join([head, *rows, "20,KX6617751,cut"]), encoding="utf-8")
    said = kangma("ingest", state, tests, "--json", *NIGHT)
    assert said.code == 0
    (file,) = said.json["files"]
    keys = ("path", "kind", "received", "accepted", "duplicate", "refused", "quarantined", "rejects_file")
    assert set(file) >= set(keys)
    assert [file[k] for k in keys[1:7]] == ["tests", 5, 2, 1, 2, 0]
    assert Path(file["rejects_file"]).stat().st_mode & 0o077 == 0
    shown = kangma("ingest", state, tests, *NIGHT)
    assert "cut_off 1, not_in_list 1" in shown.err


# ------------------------------------------------------------------------------------------------- failures


def refused(said: Said, code: int, reason: str) -> None:
    """One line on standard error that says why, and the exit code."""
    assert said.code == code
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert said.out == ""


def test_arguments_that_make_no_sense_get_one_line_and_2(tmp_path: Path) -> None:
    for arguments, reason in (
        (["turn"], "No such command 'turn'"),
        (["init"], "Missing argument 'DIR'"),
        (["init", tmp_path / "x"], "Missing option '--policy'"),
        (["init", tmp_path / "x", "--policy", "nowhere-2022"], "beijing-2022-04-22"),
        (["cycle", tmp_path], "not a state directory"),
        (["code", tmp_path / "none", "--id-type", "20", "--id-number", "X1234567"], "not a state directory"),
        (["city", "--out", tmp_path / "c", "--residents", "many"], "--residents"),
        (["city", "--out", "/proc/none", "--residents", "100", "--days", "1"], "No such file or directory"),
        (["demo", "--out", Path(__file__)], "is not a folder"),
        (["policy", "check", tmp_path / "none.toml"], "no such policy"),
    ):
        refused(kangma(*arguments), 2, reason)


def test_a_time_needs_its_offset(town: Path) -> None:
    for verb_ in ("code", "trace", "cycle", "ingest", "forget"):
        wanted = {"code": LI.asked, "trace": ("--case", "C-1"), "ingest": (Path(__file__),)}.get(verb_, ())
        refused(kangma(verb_, town, *wanted, "--now", "2022-04-20T21:00:00"), 2, "offset included")
    assert done("code", town, *LI.asked, "--now", "2022-04-20T13:00Z")["as_of"] == "2022-04-20T21:00:00+08:00"


def test_numbers_that_cannot_be_are_told_without_repeating_them(town: Path) -> None:
    for kind, number, code in (("77", "1", "bad_id_type"), ("10", "119999196606066113", "bad_id_number")):
        said = kangma("code", town, "--id-type", kind, "--id-number", number)
        refused(said, 2, code)
        assert "11999919660606" not in said.err


def test_ingest_says_once_what_is_wrong_with_its_options(town: Path, tmp_path: Path) -> None:
    for option, value, reason in (
        ("--kind", "shoes", "no kind 'shoes'"),
        ("--source", "a/b", "a feed's name"),
        ("--zone", "Mars/One", "unknown time zone"),
    ):
        refused(kangma("ingest", town, tmp_path, option, value), 2, reason)


def test_a_case_that_nobody_knows_is_said_so_whatever_it_is_called(town: Path) -> None:
    refused(kangma("trace", town, "--case", "C-2", *NIGHT), 2, "C-2")
    refused(kangma("trace", town, "--case", "[/red]", *NIGHT), 2, "[/red]")


def test_an_existing_directory_is_not_made_again(town: Path) -> None:
    refused(kangma("init", town, "--policy", "beijing-2022-04-22"), 2, "not an empty folder")


def test_the_wheel_does_not_turn_back(town: Path) -> None:
    refused(kangma("cycle", town, "--now", "2022-04-19T00:00:00+08:00"), 2, "earlier than the last release")


def test_a_cycle_while_another_is_at_work_is_to_be_tried_again(town: Path) -> None:
    with (town / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = kangma("cycle", town, *NIGHT)
    assert (said.code, said.err.count("\n")) == (3, 1)


def test_files_that_cannot_be_read_are_2_and_their_neighbours_are_taken_in(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done("init", state, "--policy", "beijing-2022-04-22")
    sent = write(tmp_path / "sent", {"people": [GU.named | {"name": GU.name, "birth_date": "1966-06-06"}]})
    (sent / "tests.csv").write_bytes(b"PK\x03\x04 not a table")
    (sent / "shoes.csv").write_text("size\n42\n")
    (sent / "visits.csv").write_text("")
    said = kangma("ingest", state, sent, sent / "gone.csv", "--json")
    assert said.code == 2
    got = {Path(f["path"]).name: (f["accepted"], f.get("code")) for f in said.json["files"]}
    assert got == {
        "people.csv": (1, None),
        "tests.csv": (0, "unreadable"),
        "shoes.csv": (0, "unknown_kind"),
        "visits.csv": (0, "no_header"),
        "gone.csv": (0, "unreadable"),
    }
    shown = kangma("ingest", state, sent)
    assert shown.code == 2
    assert shown.err.count("refused whole:") == 3


def test_an_empty_folder_is_nothing_to_do(town: Path, tmp_path: Path) -> None:
    assert done("ingest", town, tmp_path) == {"files": []}
    assert "no file" in kangma("ingest", town, tmp_path).out


TEN_MISTAKES = """\
format = 1
id = "draft"
version = "1"
effective_from = 2022-04-22T00:00:00
time_zone = "Asia/Nowhere"
title = { zh = "试" }
colour = "blue"
remind_days_after_cap = 7
[city]
name = "北京市"
districts = ["东城区"]
[tracing]
min_overlap_minutes = -1
look_back_days = 2
[notices]
"4" = { zh = "弹窗", en = "notice" }
[authorities]
cdc = { zh = "疾控", en = "centre" }
[nat]
day_mode = "hours_from_moon"
[[rule]]
id = "D-1"
on = "teests"
anchor = "reported_at"
outcome = "purple"
days = 3
authority = "nobody"
basis = "x"
reason = { zh = "因", en = "why" }
way_out = { zh = "出", en = "out" }
[[rule]]
id = "D-2"
on = "tests"
when = "resullt = 'negative'"
anchor = "reported_at"
outcome = "popup:9"
days = 3
then = "D-7"
authority = "cdc"
basis = "x"
reason = { zh = "因", en = "why" }
way_out = { zh = "出", en = "out" }
"""


def test_ten_mistakes_in_a_policy_are_ten_lines_with_line_and_name(tmp_path: Path) -> None:
    file = tmp_path / "draft.toml"
    file.write_text(TEN_MISTAKES, encoding="utf-8")
    said = kangma("policy", "check", file)
    assert said.code == 1
    told = re.findall(r"^.*draft\.toml:(\d+):\d+: (.+)$", said.out, re.M)
    lines = TEN_MISTAKES.splitlines()
    wrong = (
        "effective_from",
        "Nowhere",
        "title",
        "colour",
        "min_overlap",
        "moon",
        "teests",
        "purple",
        "nobody",
    )
    wrong += ("resullt", "popup:9", "D-7")
    assert {int(line) for line, _ in told} == {
        i for i, line in enumerate(lines, 1) if any(w in line for w in wrong)
    }
    listed = kangma("policy", "check", file, "--json")
    assert listed.code == 1
    assert len(listed.json["problems"]) == len(told) >= 10
    assert set(listed.json["problems"][0]) == {"line", "column", "name", "message"}


def test_a_broken_draft_is_not_simulated(town: Path, tmp_path: Path) -> None:
    file = tmp_path / "draft.toml"
    file.write_text(TEN_MISTAKES, encoding="utf-8")
    said = kangma("policy", "simulate", town, file, *NIGHT)
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) >= 10


def test_an_amendment_asks_for_its_base(tmp_path: Path) -> None:
    file = tmp_path / "amendment.toml"
    file.write_text('id = "a"\namends = "1"\n')
    refused(kangma("policy", "check", file), 2, "--base")


def test_shipped_policies_are_without_mistake() -> None:
    for name in ("beijing-2022-04-22", "protocol-9-2022-06-28"):
        assert done("policy", "check", name)["problems"] == []


# ------------------------------------------------------------------------------------------------- for people


def test_rules_and_digests_stand_last_in_what_people_read(town: Path) -> None:
    ask = ("code", town, *QIN.asked, *NIGHT)
    *said, last = kangma(*ask).out.strip().split("\n\n")
    answer = done(*ask)
    for name in (answer["holds"][0]["rule"], answer["policy"]["version"], answer["policy"]["digest"][:8]):
        assert name in last
        assert name not in "".join(said)


def test_nothing_is_wider_than_80_columns_and_no_sentence_is_cut(town: Path) -> None:
    ask = ("code", town, *QIN.asked, *NIGHT)
    said, answer = kangma(*ask).out, done(*ask)
    assert "■ red" in said
    (hold,) = answer["holds"]
    steps = [step for leg in answer["way"] for step in (leg, *leg["steps"])]
    for text in (hold["reason"], *hold["clears"], *steps):
        for language in ("zh", "en"):
            assert "".join(text[language].split()) in "".join(said.split())
    for asked in (
        ask,
        ("trace", town, "--case", "C-1"),
        ("policy", "simulate", town, "protocol-9-2022-06-28"),
    ):
        for line in kangma(*asked, *NIGHT).out.splitlines():
            assert _cells(line) <= 80, line


def _cells(line: str) -> int:
    return cell_len(line.rstrip())


def test_every_verb_explains_itself() -> None:
    shown = kangma("--help").out
    for name, sentence in VERBS.items():
        assert f" {name} " in shown
        own = verb(name).help
        assert " ".join(own.split("\n\n")[0].split()).startswith(sentence)
        assert kangma(name, "--help").code == 0


def _python(code: str, *, env: dict[str, str] | None = None) -> str:
    done_ = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(env or {})},
    )
    return done_.stdout


def test_help_loads_no_engine_and_a_code_no_compiler(town: Path) -> None:
    asked = ["code", str(town), *LI.asked, "--json"]
    for arguments, unwanted in (
        (["--help"], ("numba", "sqlglot", "duckdb", "pyarrow", "sqlalchemy", "numpy")),
        (asked, ("numba", "sqlglot")),
    ):
        loaded = _python(
            f"import sys, io, contextlib\nfrom kangma.cli import main\n"
            f"with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main({arguments!r})\n"
            f"print([m for m in {unwanted!r} if m in sys.modules])"
        )
        assert loaded.strip() == "[]"


def test_a_reader_who_stops_reading_is_no_failure() -> None:
    call = f"{sys.executable} -m kangma policy check beijing-2022-04-22"
    for more in ("", " --json"):
        script = f"set -o pipefail; {{ sleep 0.1; {call}{more}; }} | true"
        ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_the_shell_can_complete_verbs() -> None:
    env = {"_KANGMA_COMPLETE": "complete_bash", "COMP_WORDS": "kangma c", "COMP_CWORD": "1"}
    assert _python("from kangma.cli import main; main()", env=env).split() == [
        "city",
        "cycle",
        "code",
        "credential",
        "client",
    ]
    env = {"_KANGMA_COMPLETE": "complete_bash", "COMP_WORDS": "kangma trace --c", "COMP_CWORD": "2"}
    assert _python("from kangma.cli import main; main()", env=env).split() == ["--case"]


def test_no_colour_is_asked_for_and_none_is_sent() -> None:
    said = _python(
        "from kangma.cli import main; main(['policy', 'check', 'beijing-2022-04-22'])", env={"NO_COLOR": "1"}
    )
    assert "\x1b" not in said
