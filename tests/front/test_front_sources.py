"""Sources: a laboratory's result turns a code; what was sent once is taken once, whatever is killed; a flood of positives
waits for two people; nobody reads, or takes back, what is another's."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sqlite3
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hamlet import ELDER, NURSE, TEACHER, Hamlet, result
from laboratory import Client, lines, new_key, registered, send

from kangma.cli import main
from kangma.errors import Refused
from kangma.store import receive
from kangma.store.front_clients import ClientStore
from kangma.store.submissions import MOST_BODY, Submissions

NOON = "2022-04-25T12:00:00+08:00"
COUNTS = ("received", "accepted", "duplicate", "refused", "quarantined")


def positive(person: Any, specimen: str, said: str = "positive") -> dict[str, object]:
    return {**result(person, specimen, NOON, said), "pooled": False, "document_id": specimen}


def counts(said: Any) -> tuple[int, ...]:
    got = tuple(said[name] for name in COUNTS)
    assert got[0] == sum(got[1:]), said
    return got


def many(n: int, start: int = 0, said: str = "positive") -> bytes:
    return lines([positive(ELDER, f"M-{start + i}", said) for i in range(n)])


@pytest.fixture
def lab(door: Hamlet) -> Client:
    return registered(door, "lab", "source:tests", "source:retractions")


# a batch, and what it does -------------------------------------------------------------------------------------------


def test_a_positive_that_a_laboratory_sends_turns_the_residents_code(door: Hamlet, lab: Client) -> None:
    nurse = door.resident(NURSE)
    before = nurse.get("/v1/me/code").json()
    assert before["colour"] == "green"
    said = send(lab.http(), "tests", lines([positive(NURSE, "P-1")]))
    assert said.status_code == 201, said.text
    assert counts(said.json()) == (1, 1, 0, 0, 0)
    assert said.json() | {"receipt": 0} == {
        "receipt": 0, "kind": "tests", "received": 1, "accepted": 1, "duplicate": 0, "refused": 0, "quarantined": 0,
        "rejects": None, "state": "taken", "became": None,
    }  # fmt: skip
    assert nurse.get("/v1/me/code").json()["colour"] == "green"  # at the next release
    door.cycle()
    after = nurse.get("/v1/me/code").json()
    assert after["colour"] in ("red", "yellow")
    assert after["holds"][0]["reason"]["en"]


def test_every_form_is_taken(door: Hamlet, lab: Client) -> None:
    http = lab.http()
    row = {k: v for k, v in positive(NURSE, "F-1", "negative").items() if k != "document_id"}
    csv = (
        ",".join(row)
        + "\r\n"
        + ",".join(str(v).lower() if v is False else str(v) for v in row.values())
        + "\r\n"
    )
    parquet = io.BytesIO()
    pq.write_table(pa.table({k: [v] for k, v in {**row, "specimen_id": "F-2"}.items()}), parquet)
    fhir = {
        "resourceType": "Bundle", "type": "message",
        "entry": [
            {
                "fullUrl": "urn:uuid:1",
                "resource": {
                    "resourceType": "Observation", "id": "o1", "status": "final",
                    "identifier": [{"system": "urn:lab", "value": "F-3"}],
                    "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]},
                },
            }
        ],
    }  # fmt: skip
    hl7 = b"MSH|^~\\&|LIS|LAB|KM|KM|20220425120000+0800||ORU^R01|1|P|2.5.1\rPID|1\r"
    for media, body, wanted in (
        ("text/csv", csv.encode(), (1, 1, 0, 0, 0)),
        ("text/csv; charset=utf-8", csv.encode(), (1, 0, 1, 0, 0)),
        ("application/vnd.apache.parquet", parquet.getvalue(), (1, 1, 0, 0, 0)),
        ("application/fhir+json", json.dumps(fhir).encode(), (1, 0, 0, 1, 0)),  # it names nobody
        ("application/hl7-v2", hl7, (1, 0, 0, 1, 0)),
    ):
        said = send(http, "tests", body, media=media)
        assert said.status_code == 201, (media, said.text)
        assert counts(said.json()) == wanted, (media, said.text)


def test_refused_rows_are_listed_by_place_and_code_and_never_by_value(door: Hamlet, lab: Client) -> None:
    http = lab.http()
    rows = [
        positive(NURSE, "R-1", "negative"),
        positive(TEACHER, "R-2", "maybe-䶮靁"),
        {"id_number": ELDER.id_number},
    ]
    said = send(http, "tests", lines(rows))
    assert said.status_code == 201
    assert counts(said.json()) == (3, 1, 0, 2, 0)
    listed = http.get(said.json()["rejects"])
    assert listed.status_code == 200
    assert [(x["line"], x["code"]) for x in listed.json()["rejects"]] == [
        (2, "not_in_list"),
        (3, "missing_value"),
    ]
    assert listed.json()["rejects"][0]["column"] == "result"
    assert all(None not in one.values() for one in listed.json()["rejects"])
    for secret in (ELDER.id_number, TEACHER.id_number, "maybe"):
        assert secret not in listed.text
    again = http.get(f"/source/v1/receipts/{said.json()['receipt']}")
    assert again.json() == said.json()


def test_a_stranger_hears_nothing_of_which_kinds_there_are(door: Hamlet, lab: Client) -> None:
    resident = door.resident(NURSE)
    for http in (door.client(), door.client("x" * 35), resident):
        told = {
            (one.status_code, one.content) for one in (send(http, k, many(1)) for k in ("tests", "testz"))
        }
        assert len(told) == 1


def test_what_cannot_be_taken_is_told_clearly(door: Hamlet, lab: Client) -> None:
    http, body = lab.http(), many(1)
    assert send(http, "cases", body).status_code == 403
    mistyped = send(http, "testz", body)
    assert (mistyped.status_code, mistyped.json()["code"]) == (404, "not_found")
    assert mistyped.json()["detail"] == "no such kind of document: docs/reference/kinds.md"
    assert send(http, "tests", body, media="application/pdf").status_code == 415
    assert send(http, "tests", body, headers={"content-encoding": "gzip"}).status_code == 400
    assert send(http, "tests", body, key="short").status_code == 422
    assert http.post("/source/v1/tests", content=body).status_code == 422
    large = send(http, "tests", body, headers={"content-length": str(MOST_BODY + 1)})
    assert (large.status_code, large.json()["code"]) == (413, "too_many_bytes")
    whole = send(http, "tests", b"specimen_id,nobody\r\n1,2\r\n", media="text/csv")
    assert (whole.status_code, whole.json()["code"]) == (422, "unknown_column")
    number = whole.json()["receipt"]
    assert http.get(f"/source/v1/receipts/{number}").json()["state"] == "refused"
    assert send(http, "tests", b"PAR1", media="application/vnd.apache.parquet").status_code == 422
    for path in ("receipts/0", "receipts/x", "receipts/99999"):
        assert http.get(f"/source/v1/{path}").status_code in (404, 422)


def test_more_than_64_mib_is_refused_while_it_comes(door: Hamlet, lab: Client) -> None:
    piece = many(1) * 2_000

    def endless() -> Any:
        for _ in range(MOST_BODY // len(piece) + 2):
            yield piece

    headers = {"content-type": "application/x-ndjson", "idempotency-key": new_key()}
    said = lab.http().post("/source/v1/tests", content=endless(), headers=headers)
    assert said.status_code == 413
    assert door.city.memory.used == 0


# once ----------------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_same_receipt_and_another_body_none(door: Hamlet, lab: Client) -> None:
    http, key = lab.http(), new_key()
    first = send(http, "tests", many(3, said="negative"), key=key)
    again = send(http, "tests", many(3, said="negative"), key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert send(http, "tests", many(4, said="negative"), key=key).status_code == 409
    assert send(http, "tests", many(3, said="negative"), key=key, media="text/csv").status_code == 409
    other = send(http, "tests", many(3, said="negative"))
    assert counts(other.json()) == (3, 0, 3, 0, 0)
    assert other.json()["receipt"] != first.json()["receipt"]
    refused = [send(http, "tests", b"x\r\n", key="k" * 16, media="text/csv") for _ in range(2)]
    assert [x.status_code for x in refused] == [422, 422]
    assert refused[0].json() == refused[1].json()
    second = registered(door, "lab-2", "source:tests")
    assert (
        send(second.http(), "tests", many(4, said="negative"), key=key).status_code == 201
    )  # a key is a source's own


class Killed(BaseException):
    """As if the process ended there."""


@pytest.mark.parametrize("where", ["before it is durable", "between durable and answer"])
@pytest.mark.parametrize("careless", [False, True])
def test_a_kill_around_the_moment_of_durability_changes_no_receipt(
    door: Hamlet, lab: Client, monkeypatch: pytest.MonkeyPatch, where: str, careless: bool
) -> None:
    """`careless` is the control: without the look for what became durable, the second receipt is another one."""
    key, body = new_key(), many(5, said="negative") + b"{}\n"
    taken = Submissions._receive

    def dies(self: Submissions, *a: Any, **k: Any) -> Any:
        if where == "between durable and answer":
            taken(self, *a, **k)
        raise Killed

    http = lab.http()
    with monkeypatch.context() as patch:
        patch.setattr(Submissions, "_receive", dies)
        with pytest.raises(Killed):
            send(http, "tests", body, key=key)
    if careless:
        monkeypatch.setattr(Submissions, "_durable_since", lambda *_: None)
    said = send(http, "tests", body, key=key)
    lost = careless and where == "between durable and answer"
    assert counts(said.json()) == ((6, 0, 5, 1, 0) if lost else (6, 5, 0, 1, 0))
    assert said.status_code == (201 if lost or where == "before it is durable" else 200)
    assert send(http, "tests", body, key=key).json() == said.json()
    assert len(http.get(said.json()["rejects"]).json()["rejects"]) == 1


def test_two_who_send_the_same_at_once_get_one_receipt(door: Hamlet, lab: Client) -> None:
    http, key, said = lab.http(), new_key(), list[Any]()
    threads = [
        threading.Thread(target=lambda: said.append(send(http, "tests", many(20, said="negative"), key=key)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(x.status_code for x in said) == [200, 200, 200, 201]
    assert len({x.content for x in said}) == 1


def test_a_manifest_is_held_against_what_came(door: Hamlet, lab: Client) -> None:
    http, body = lab.http(), many(2, said="negative")

    def with_manifest(sequence: int, rows: int = 2, digest: str = "", content: bytes = body) -> Any:
        said = {
            "manifest-sequence": str(sequence), "manifest-rows": str(rows),
            "manifest-sha256": digest or hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        return send(http, "tests", content, headers=said)

    assert with_manifest(1).status_code == 201
    wrong = (
        with_manifest(2, rows=3),
        with_manifest(2, digest="0" * 64),
        with_manifest(1, content=body + b"{}\n", rows=3),
    )
    for said in wrong:
        assert (said.status_code, said.json()["code"]) == (422, "manifest_mismatch")
    partial = send(http, "tests", body, headers={"manifest-rows": "2"})
    assert (partial.status_code, partial.json()["code"]) == (422, "missing_value")
    assert with_manifest(4, content=many(1, 50, "negative"), rows=1).status_code == 201
    assert alarms(door)[-1] == ("sequence_gap", "lab")


def alarms(door: Hamlet) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(door.path / "registry.sqlite")) as on:
        return on.execute("SELECT what, feed FROM alarms ORDER BY alarm").fetchall()


# one's own -----------------------------------------------------------------------------------------------------------


def test_nobody_reads_another_sources_receipt(door: Hamlet, lab: Client) -> None:
    other = registered(door, "clinic-2", "source:tests").http()
    said = send(lab.http(), "tests", many(1) + b"{}\n").json()
    for path in (f"/source/v1/receipts/{said['receipt']}", said["rejects"]):
        theirs, nobodys = other.get(path), other.get(path.replace(str(said["receipt"]), "987654"))
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.content == nobodys.content


def test_a_row_that_is_wrong_as_a_whole_names_no_column(door: Hamlet, lab: Client) -> None:
    body = b'{"not": json\n' + lines([positive(NURSE, "W-1", "negative") | {"wang": 1}])
    said = send(lab.http(), "tests", body)
    assert counts(said.json()) == (2, 0, 0, 2, 0)
    listed = lab.http().get(said.json()["rejects"]).json()["rejects"]
    assert [(sorted(one), one["row"]) for one in listed] == [
        (["code", "line", "row"], 1),
        (["code", "line", "row"], 2),
    ]


def test_a_source_takes_back_what_is_its_own_and_nothing_else(door: Hamlet, lab: Client) -> None:
    """The clinic's test of the nurse stays; the laboratory's own goes."""
    nurse, http = door.resident(NURSE), lab.http()
    send(http, "tests", lines([positive(NURSE, "OWN-1")]))
    door.cycle()
    assert nurse.get("/v1/me/code").json()["colour"] != "green"
    by = {"reason": "mistake", "by": "lab"}
    rows = [
        {"source": "clinic", **by},
        {"document_id": "S-1", "source": "clinic", **by},
        {"source": "clinic", "from": "2022-04-01T00:00:00+08:00", **by},
        {"document_id": "OWN-1", **by},
        {"document_id": "OWN-1", "source": "lab", **by},
    ]
    said = send(http, "retractions", lines(rows)).json()
    assert counts(said) == (5, 2, 0, 3, 0)
    listed = http.get(said["rejects"]).json()["rejects"]
    assert [(x["row"], x["column"], x["code"]) for x in listed] == [
        (n, "source", "not_allowed") for n in (1, 2, 3)
    ]
    door.cycle()
    assert nurse.get("/v1/me/code").json()["colour"] == "green"
    assert len(nurse.get("/v1/me/tests").json()["tests"]) == 1


def test_a_message_brings_no_kind_beyond_the_scopes(door: Hamlet) -> None:
    """A laboratory that may send tests cannot change anybody's phone number by a Patient."""
    patient = {
        "resourceType": "Patient", "id": "p1",
        "identifier": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PPN"}]},
                        "value": ELDER.id_number, "system": "http://hl7.org/fhir/sid/passport-CHN"}],
        "name": [{"text": ELDER.name}], "birthDate": "1990-01-01",
        "telecom": [{"system": "phone", "value": "19999999999"}],
    }  # fmt: skip
    narrow, wide = (
        registered(door, "narrow", "source:tests"),
        registered(door, "wide", "source:tests", "source:people"),
    )
    body = json.dumps(patient).encode()
    said = send(narrow.http(), "tests", body, media="application/fhir+json").json()
    assert counts(said)[1] == 0
    listed = narrow.http().get(said["rejects"]).json()["rejects"]
    assert [x["code"] for x in listed] == ["not_allowed"], listed
    assert door.code_for(ELDER)  # the letter went to the phone of before
    assert counts(send(wide.http(), "tests", body, media="application/fhir+json").json())[1] == 1


# the brake -----------------------------------------------------------------------------------------------------------


def test_far_more_positives_than_usual_wait_for_two_people_and_nothing_is_lost(
    door: Hamlet, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = registered(door, "braked", "source:tests", brake_factor=10, brake_floor=20)
    teacher, http, key = door.resident(TEACHER), lab.http(), new_key()
    before = teacher.get("/v1/me/code").json()
    assert send(http, "tests", many(20)).status_code == 201  # up to the floor nothing is held
    flood = many(1_000, 100) + lines([positive(TEACHER, "FLOOD")]) + b"{}\n"
    said = send(http, "tests", flood, key=key)
    assert said.status_code == 202, said.text
    held = said.json()
    assert (held["state"], held["rejects"]) == ("held", None)
    assert counts(held) == (1_002, 0, 0, 0, 1_002)
    assert alarms(door)[-1] == ("brake", "braked")
    assert send(http, "tests", flood, key=key).json() == held
    door.cycle()
    assert teacher.get("/v1/me/code").json()["holds"] == before["holds"]
    assert send(http, "tests", many(1, 5_000, "negative")).status_code == 201  # what is usual goes on
    stored = (door.path / "front" / "held").glob("*")
    assert all(ELDER.id_number.encode() not in file.read_bytes() for file in stored)

    directory = str(door.path)

    def kangma(*words: str) -> tuple[int, Any]:
        now = "2022-04-25T19:00:00+08:00"
        with pytest.raises(SystemExit) as ended:
            main(["client", directory, "brake", *words, "--now", now, "--json"])
        out = capsys.readouterr().out
        return int(ended.value.code or 0), json.loads(out) if out else None

    waiting = kangma("list")[1]["held"]
    assert [(x["source"], x["positives"], x["receipt"]) for x in waiting] == [
        ("braked", 1_001, held["receipt"])
    ]
    batch = waiting[0]["batch"]
    assert kangma("release", batch, "--officer", "Officer One")[1]["done"] is False
    assert kangma("release", batch, "--officer", "Officer One")[0] == 2  # it takes two
    assert kangma("reject", batch, "--officer", "Officer Two")[1]["done"] is False  # of another opinion
    done = kangma("release", batch, "--officer", "Officer Two")[1]
    assert done["done"] is True
    assert kangma("list")[1]["held"] == []
    assert list((door.path / "front" / "held").iterdir()) == []
    after = http.get(f"/source/v1/receipts/{held['receipt']}").json()
    assert (after["state"], after["became"]) == ("released", done["receipt"])
    became = http.get(f"/source/v1/receipts/{after['became']}").json()
    assert counts(became) == (1_002, 1_001, 0, 1, 0)
    door.cycle()
    assert teacher.get("/v1/me/code").json()["colour"] == "red"


def test_a_rejected_batch_is_evidence_of_nobody_and_its_source_is_told(door: Hamlet) -> None:
    lab = registered(door, "braked", "source:tests", brake_floor=2)
    http, key = lab.http(), new_key()
    held = send(http, "tests", many(3), key=key).json()
    submissions, now = door.city.submissions, door.clock.now
    name = submissions.held(now=now)[0].submission
    assert submissions.agree(name, "reject", "one", now=now) is None
    assert submissions.agree(name, "reject", "two", now=now) is not None
    with pytest.raises(Refused):
        submissions.agree(name, "release", "one", now=now)
    said = send(http, "tests", many(3), key=key)
    assert (said.status_code, said.json()["state"]) == (200, "rejected")
    assert counts(said.json()) == counts(held)
    assert counts(send(http, "tests", many(2)).json()) == (2, 2, 0, 0, 0)  # they were not here


def test_the_brake_knows_what_is_usual_of_a_batch_and_of_an_hour(door: Hamlet) -> None:
    lab = registered(door, "city-lab", "source:tests", brake_factor=3, brake_floor=8)
    http = lab.http()
    for hour in range(4):  # four hours, two batches each, four positives a batch
        for n in range(2):
            assert send(http, "tests", many(4, 100 * hour + 10 * n)).status_code == 201
        door.clock.now += 3_600
        http = lab.http()
    client = ClientStore(door.city.store).named("city-lab")
    assert door.city.submissions.usual(client, now=door.clock.now + 1) == (4.0, 8.0)
    assert send(http, "tests", many(13, 1_000)).status_code == 202  # more than three times a usual batch
    assert send(http, "tests", many(12, 2_000)).status_code == 201
    assert send(http, "tests", many(12, 3_000)).status_code == 201
    assert (
        send(http, "tests", many(1, 4_000)).status_code == 202
    )  # 25 in an hour: more than three usual hours
    ClientStore(door.city.store).change("city-lab", brake_factor=0)
    door.city.registered._read = float("-inf")
    assert send(http, "tests", many(100, 5_000)).status_code == 201  # off


def test_a_kill_while_a_batch_is_put_away_leaves_it_held_once(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = registered(door, "braked", "source:tests", brake_floor=2)
    key, noted = new_key(), receive._note_held

    def dies(*a: Any) -> Any:
        noted(*a)
        raise Killed

    http = lab.http()
    with monkeypatch.context() as patch:
        patch.setattr(receive, "_note_held", dies)
        with pytest.raises(Killed):
            send(http, "tests", many(3), key=key)
    said = send(http, "tests", many(3), key=key)
    assert (said.status_code, said.json()["state"]) == (200, "held")
    assert len(door.city.submissions.held(now=door.clock.now)) == 1


def test_a_kill_while_a_batch_is_released_takes_its_rows_in_once(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = registered(door, "braked", "source:tests", brake_floor=2)
    held = send(lab.http(), "tests", many(3)).json()
    submissions, now = door.city.submissions, door.clock.now
    name = submissions.held(now=now)[0].submission
    assert submissions.agree(name, "release", "one", now=now) is None

    def dies(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Submissions, "_settle", dies)
        with pytest.raises(Killed):
            submissions.agree(name, "release", "two", now=now)
    done = submissions.agree(name, "release", "two", now=now)
    assert done is not None
    assert (done.received, done.accepted, done.duplicate) == (3, 3, 0)
    said = lab.http().get(f"/source/v1/receipts/{held['receipt']}").json()
    assert (said["state"], said["became"]) == ("released", done.number)


def test_a_kill_does_not_make_the_brake_forget_what_came(
    door: Hamlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = registered(door, "braked", "source:tests", brake_floor=10)
    http, key, taken = lab.http(), new_key(), Submissions._receive

    def dies(self: Submissions, *a: Any, **k: Any) -> Any:
        taken(self, *a, **k)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Submissions, "_receive", dies)
        with pytest.raises(Killed):
            send(http, "tests", many(8), key=key)
    assert send(http, "tests", many(8), key=key).status_code == 200
    assert send(http, "tests", many(3, 100)).status_code == 202  # eleven in an hour


def test_the_same_bytes_as_another_kind_have_a_list_of_their_own(door: Hamlet) -> None:
    lab = registered(door, "wide", "source:tests", "source:people")
    body = lines([positive(NURSE, "T-1"), NURSE.named])
    for kind in ("tests", "people"):
        said = send(lab.http(), kind, body).json()
        listed = lab.http().get(said["rejects"]).json()
        assert (listed["refused"], len(listed["rejects"])) == (said["refused"], said["refused"]), kind
