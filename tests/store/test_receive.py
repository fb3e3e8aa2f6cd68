"""A file from outside becomes a receipt whose counts add up, whatever is in it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from made_up import evidence

from kangma.errors import Code
from kangma.intake.limits import DEFAULT as LIMITS
from kangma.store import registry as r
from kangma.store.keys import read_key
from kangma.store.receive import FileReceipt, files_in, receive, receive_all, sandbox_for
from kangma.store.sandbox import Bounds, Sandbox
from kangma.store.state import State

PEOPLE = [  # made up; region 110000 is nobody's
    "110000199001010003",
    "110000199001010011",
]
HEADER = "specimen_id,id_type,id_number,sampled_at,reported_at,method,pooled,result,lab\r\n"


def passport(n: int) -> str:
    return f"KX{n:07d}"


def line(specimen: str, number: str, outcome: str = "negative") -> str:
    return f"{specimen},20,{number},2022-04-25T09:00:00+08:00,2022-04-25T20:00:00+08:00,nat,false,{outcome},lab7\r\n"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One worker for the whole module; its key is of no state, which matters to none of these tests."""
    with Sandbox(b"k" * 32, LIMITS) as sandbox:
        yield sandbox


def balanced(receipt: FileReceipt) -> bool:
    parts = receipt.accepted + receipt.duplicate + receipt.refused + receipt.quarantined
    return receipt.received == parts


def test_a_laboratory_sends_its_results_and_gets_a_receipt(
    state: State, tmp_path: Path, worker: Sandbox
) -> None:
    file = tmp_path / "tests_lab7.csv"
    file.write_text(HEADER + line("s1", passport(1)) + line("s2", passport(2), "positive") + line("s3", "no"))
    receipt = receive(state, file, feed="lab7", sandbox=worker)
    shown = receipt.as_json()
    assert {k: shown[k] for k in ("kind", "received", "accepted", "duplicate", "refused", "quarantined")} == {
        "kind": "tests",
        "received": 3,
        "accepted": 2,
        "duplicate": 0,
        "refused": 1,
        "quarantined": 0,
    }
    again = receive(state, file, feed="lab7", sandbox=worker)
    assert (again.accepted, again.duplicate, again.refused) == (0, 2, 1)
    state.absorb()
    assert len(evidence(state, "tests")) == 2


def test_the_refused_row_can_be_mended_and_sent_again(state: State, tmp_path: Path, worker: Sandbox) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + line("s1", passport(1)) + line("s2", passport(2), "maybe"))
    first = receive(state, file, sandbox=worker)
    assert first.rejects_file is not None
    rejects = Path(first.rejects_file)
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    mended = tmp_path / "tests-mended.csv"
    mended.write_text(rejects.read_text().replace("maybe", "positive"))
    second = receive(state, mended, sandbox=worker)
    assert (second.accepted, second.refused) == (1, 0)
    summary = json.loads(rejects.with_suffix(".json").read_text())
    assert summary["rows"] == [{"row": 2, "line": 3, "column": "result", "code": "not_in_list"}]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("visitors.csv", "a,b\n", Code.UNKNOWN_KIND),
        ("tests.xlsx", "PK", Code.UNREADABLE),
        ("tests.txt", "dear laboratory", Code.UNREADABLE),
        ("tests.parquet", "not parquet", Code.UNREADABLE),
        ("tests.csv", "specimen_id,colour\n1,2\n", Code.UNKNOWN_COLUMN),
        ("bundle.json", "[" * 100_000, Code.TOO_DEEP),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole_and_noted(
    state: State, tmp_path: Path, worker: Sandbox, *, name: str, content: str, code: Code
) -> None:
    file = tmp_path / name
    file.write_text(content)
    receipt = receive(state, file, sandbox=worker)
    assert (receipt.code, receipt.received) == (code, 0)
    assert state.absorb().batches == 0
    with state.registry.read() as on:
        assert on.execute(sa.select(r.receipts.c.code)).scalars().all() == [str(code)]


def test_a_folder_is_taken_in_file_by_file(state: State, tmp_path: Path) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    (folder / "tests.csv").write_text(HEADER + line("s1", passport(1)))
    (folder / "tests-2.csv").write_text(HEADER + line("s1", passport(1)) + line("s2", passport(1)))
    (folder / "notes.doc").write_text("?")
    receipts = {Path(x.path).name: x for x in receive_all(state, [folder])}
    assert [receipts[n].accepted for n in ("tests-2.csv", "tests.csv")] == [2, 0]
    assert receipts["tests.csv"].duplicate == 1
    assert receipts["notes.doc"].code is Code.UNREADABLE


def test_a_pipe_or_a_missing_file_is_refused_at_once(state: State, tmp_path: Path, worker: Sandbox) -> None:
    os.mkfifo(tmp_path / "tests.csv")
    assert receive(state, tmp_path / "tests.csv", sandbox=worker).code is Code.UNREADABLE
    assert receive(state, tmp_path / "visits.csv", sandbox=worker).code is Code.UNREADABLE


# manifests ---------------------------------------------------------------------------------------------------------


def with_manifest(file: Path, sequence: int, rows: int, **other: object) -> Path:
    told = {
        "feed": "lab7",
        "sequence": sequence,
        "rows": rows,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        **other,
    }
    file.with_name(file.name + ".manifest.json").write_text(json.dumps(told))
    return file


def test_a_file_that_lost_rows_on_the_way_is_refused_whole(
    state: State, tmp_path: Path, worker: Sandbox
) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + "".join(line(f"s{i}", passport(i)) for i in range(5)))
    receipt = receive(state, with_manifest(file, 1, rows=6), sandbox=worker)
    assert receipt.code is Code.MANIFEST_MISMATCH
    assert state.absorb().batches == 0
    with state.registry.read() as on:
        assert on.execute(sa.select(r.alarms.c.what)).scalars().all() == ["manifest_mismatch"]
    assert receive(state, with_manifest(file, 1, rows=5), sandbox=worker).accepted == 5


def test_a_missing_number_in_a_feeds_sequence_raises_an_alarm(
    state: State, tmp_path: Path, worker: Sandbox
) -> None:
    for sequence in (1, 2, 5):
        file = tmp_path / f"tests-{sequence}.csv"
        file.write_text(HEADER + line(f"s{sequence}", passport(1)))
        assert receive(state, with_manifest(file, sequence, rows=1), sandbox=worker).accepted == 1
    with state.registry.read() as on:
        alarms = on.execute(sa.select(r.alarms.c.what, r.alarms.c.feed, r.alarms.c.detail)).all()
    assert [(what, feed, json.loads(d)) for what, feed, d in alarms] == [
        ("sequence_gap", "lab7", {"expected": 3, "got": 5})
    ]


@pytest.mark.parametrize("other", [{"sha256": "00"}, {"rows": "1"}, {"sequence": -1}, {"feed": 7}])
def test_a_manifest_of_another_file_or_of_nonsense_refuses_the_file(
    state: State, tmp_path: Path, worker: Sandbox, other: dict[str, object]
) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + line("s1", passport(1)))
    assert receive(
        state, with_manifest(file, **{"sequence": 1, "rows": 1, **other}), sandbox=worker
    ).code is (Code.MANIFEST_MISMATCH)


def test_a_sequence_number_counts_once(state: State, tmp_path: Path, worker: Sandbox) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + line("s1", passport(1)))
    with_manifest(file, 1, rows=1)
    assert receive(state, file, sandbox=worker).accepted == 1
    assert receive(state, file, sandbox=worker).duplicate == 1  # the same file once more
    other = tmp_path / "tests-other.csv"
    other.write_text(HEADER + line("s2", passport(1)))
    assert receive(state, with_manifest(other, 1, rows=1), sandbox=worker).code is Code.MANIFEST_MISMATCH
    assert state.absorb().rows == {"tests": 1}


# poison ------------------------------------------------------------------------------------------------------------


def poisoned(state: State, bounds: Bounds | None = None) -> Sandbox:
    """A worker whose reader dies of certain rows, as a reader with a bug would. See poison.py."""
    key = read_key(state.path / "keys" / "person.key")
    return Sandbox(key, LIMITS, bounds or Bounds(), reader="poison:read")


@pytest.fixture(autouse=True)
def poison_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.mark.parametrize("death", ["DIES", "RAISES", "EATS"])
def test_a_row_that_breaks_the_reader_is_put_aside_and_its_neighbours_flow(
    state: State, tmp_path: Path, death: str
) -> None:
    file = tmp_path / "tests.csv"
    lines = [line(f"s{i}", passport(i)) for i in range(8)]
    lines[3] = line(f"s3-{death}", passport(3))
    lines[6] = line("s6", "no")
    file.write_text(HEADER + "".join(lines))
    with poisoned(state, Bounds(memory=300 << 20)) as sandbox:
        receipt = receive(state, file, sandbox=sandbox)
    assert balanced(receipt)
    assert (receipt.accepted, receipt.refused, receipt.quarantined) == (6, 1, 1)
    (kept,) = (state.path / "quarantine").glob("*.bytes")
    assert kept.read_bytes().decode() == lines[3]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.with_suffix(".json").read_text())["line"] == 5
    assert receipt.rejects_file is not None
    summary = json.loads(Path(receipt.rejects_file).with_suffix(".json").read_text())
    assert (summary["rows"][0]["row"], summary["rows"][0]["line"]) == (7, 8)
    with state.registry.read() as on:
        assert on.execute(sa.select(r.alarms.c.what)).scalars().all() == ["quarantine"]


def test_a_row_on_which_the_reader_never_ends_runs_out_of_cpu_time(state: State, tmp_path: Path) -> None:
    file = tmp_path / "tests.ndjson"
    file.write_text('{"specimen_id": "SPINS"}\n')
    with poisoned(state, Bounds(cpu_seconds=0)) as sandbox:
        assert receive(state, file, sandbox=sandbox).quarantined == 1


def test_a_quoted_cell_over_many_lines_is_one_record_when_a_file_is_cut(state: State, tmp_path: Path) -> None:
    file = tmp_path / "tests.csv"
    torn = line("s2", passport(2)).replace("lab7", '"lab\n7 DIES\n, ""here"""')
    file.write_text(HEADER + line("s1", passport(1)) + torn + line("s3", passport(3)))
    with poisoned(state) as sandbox:
        receipt = receive(state, file, sandbox=sandbox)
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    (kept,) = (state.path / "quarantine").glob("*.bytes")
    assert kept.read_bytes().decode() == torn


def test_a_file_that_cannot_be_cut_is_put_aside_whole(state: State, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_text('{"resourceType": "DIES"}')
    with poisoned(state) as sandbox:
        receipt = receive(state, file, sandbox=sandbox)
        assert (receipt.received, receipt.quarantined) == (1, 1)
        good = tmp_path / "tests.csv"
        good.write_text(HEADER + line("s1", passport(1)))
        assert receive(state, good, sandbox=sandbox).accepted == 1


def test_one_message_of_a_batch_that_breaks_the_reader_leaves_the_others_alone(
    state: State, tmp_path: Path
) -> None:
    def message(number: int, lab: str) -> str:
        return "\r".join(
            [
                f"MSH|^~\\&|LIS|{lab}|HC|BJ|20220425200000+0800||ORU^R01|m{number}|P|2.5.1",
                f"PID|1||KX000000{number}^^^^PPN",
                f"OBR|1||s{number}|94500-6^SARS-CoV-2 RNA^LN|||20220425090000+0800",
                "OBX|1|CWE|94500-6^SARS-CoV-2 RNA^LN||260415000^Not detected^SCT||||||F|||20220425200000+0800",
                "",
            ]
        )

    file = tmp_path / "night.hl7"
    messages = [message(1, "lab7"), message(2, "DIES"), message(3, "lab7")]
    file.write_text("BHS|^~\\&|LIS\r" + "".join(messages) + "BTS|3\r")
    with sandbox_for(state) as sandbox:
        alone = receive(state, file, feed="other", sandbox=sandbox)
    with poisoned(state) as sandbox:
        receipt = receive(state, file, feed="lab7", sandbox=sandbox)
    assert receipt.quarantined == 1
    assert receipt.accepted + receipt.refused == alone.received - 1 == 2
    (kept,) = (state.path / "quarantine").glob("*.bytes")
    assert kept.read_bytes() == messages[1].encode()


def test_a_file_of_nothing_but_poison_is_refused_whole(state: State, tmp_path: Path) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + "".join(line(f"s{i}-RAISES", passport(i)) for i in range(400)))
    with poisoned(state) as sandbox:
        receipt = receive(state, file, sandbox=sandbox)
        assert receipt.code is Code.UNREADABLE
    assert not list((state.path / "quarantine").iterdir())


def test_the_worker_can_write_no_file_and_leaves_no_core(state: State, tmp_path: Path) -> None:
    file = tmp_path / "tests.csv"
    file.write_text(HEADER + line("s1-WRITES", passport(1)))
    with poisoned(state) as sandbox:
        receipt = receive(state, file, sandbox=sandbox)
    assert receipt.quarantined == 1
    assert not Path("/tmp/kangma-poison").exists() or Path("/tmp/kangma-poison").stat().st_size == 0


def test_a_bomb_beyond_our_own_limits_dies_in_the_worker_and_not_here(state: State, tmp_path: Path) -> None:
    file = tmp_path / "tests.csv"
    # one line of 24 MiB, and limits that let it through: only the worker's memory bound is left to stop it
    limits = replace(LIMITS, line_bytes=1 << 30, value_bytes=1 << 30)
    with file.open("w") as out:
        out.write(HEADER)
        out.write(line("s1", passport(1)))
        out.write("x" * (24 << 20) + line("", passport(2)))
        out.write(line("s3", passport(3)))
    with sandbox_for(state, limits, Bounds(memory=48 << 20)) as sandbox:
        receipt = receive(state, file, limits=limits, sandbox=sandbox)
    assert (receipt.accepted, receipt.quarantined) == (2, 1)


@pytest.mark.prove
def test_a_line_of_a_gigabyte_and_a_table_of_a_million_rows_get_their_answers_in_bounded_memory(
    state: State, tmp_path: Path
) -> None:
    long = tmp_path / "tests-long.csv"
    with long.open("wb") as out:
        out.write(HEADER.encode())
        for _ in range(1024):
            out.write(b"x" * (1 << 20))
        out.write(b"\n" + line("s1", passport(1)).encode())
    many = tmp_path / "tests-many.csv"
    with many.open("w", newline="") as out:
        out.write(HEADER)
        out.writelines(line(f"m{i}", passport(i % 9_000_000)) for i in range(1_048_577))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first, second = receive_all(state, [long, many])
    assert (first.accepted, first.refused, first.quarantined) == (1, 1, 0)
    assert (second.received, second.accepted) == (1_048_577, 1_048_577)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


def test_the_order_of_files_is_that_of_their_names_and_manifests_are_no_files(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.csv.manifest.json", ".hidden.csv"):
        (tmp_path / name).write_text("")
    assert [p.name for p in files_in([tmp_path])] == ["a.csv", "b.csv"]
