"""One right row of every kind, as texts; and the three forms in which a table can be sent. All persons are invented."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kangma.intake.cells import outer_names
from kangma.intake.documents import Batch
from kangma.intake.identity import Keyer, check_character
from kangma.intake.kinds import KINDS
from kangma.intake.limits import DEFAULT, Limits
from kangma.intake.tables import read_table

KEYER = Keyer(b"a key for tests only, 32 bytes..")


def resident(i: int) -> str:
    """A resident identity number of division 119999, which is not assigned to any place."""
    first = f"119999{1930 + i % 80}{1 + i // 80 % 12:02d}{1 + i // 960 % 28:02d}{i % 1000:03d}"
    return first + check_character(first)


WANG, LI = {"id_type": "10", "id_number": resident(1)}, {"id_type": "10", "id_number": resident(2)}
MORNING, NOON = "2022-04-25T08:00:00+08:00", "2022-04-25T12:00:00+08:00"

ROWS: dict[str, dict[str, str]] = {
    "people": WANG
    | {
        "name": "王小明",
        "birth_date": "1931-01-01",
        "nationality": "CN",
        "phone": "13800000000",
        "district": "朝阳区",
    }
    | {"guardian_id_type": "20", "guardian_id_number": "E12345678"},
    "identities": WANG
    | {"same_as_id_type": "20", "same_as_id_number": "E1234567", "decided_by": "o1", "undo": "false"},
    "places": {"place_id": "P1", "name": "菜市场", "kind": "venue", "lat": "39.875", "lon": "116.46"}
    | {"district": "朝阳区", "area_id": "A1"},
    "visits": WANG | {"place_id": "P1", "entered_at": MORNING, "left_at": NOON, "source": "scan"},
    "tests": {"specimen_id": "S1"}
    | WANG
    | {"sampled_at": MORNING, "reported_at": NOON, "method": "nat", "pooled": "true", "pool_id": "M1"}
    | {"result": "negative", "lab": "L1"},
    "vaccinations": WANG
    | {"product": "CoronaVac", "dose": "2", "given_on": "2021-05-06", "batch": "B", "site": "S"},
    "cases": {"case_id": "C1"}
    | WANG
    | {"kind": "confirmed", "confirmed_at": NOON, "onset_at": MORNING, "infectious_from": MORNING}
    | {"discharged_at": "2022-05-09T10:00:00Z", "excluded_at": ""},
    "contacts": WANG
    | {"index_case_id": "C1", "index_id_type": "10", "index_id_number": LI["id_number"], "degree": "1"}
    | {"last_exposure_at": MORNING, "found_by": "tracing"},
    "areas": {
        "area_id": "A1",
        "name": "松榆里社区",
        "district": "朝阳区",
        "county": "朝阳区",
        "level": "high",
    }
    | {"from": MORNING, "to": ""},
    "counties": {
        "county": "某县",
        "local_infections_from": MORNING,
        "local_infections_to": "",
        "land_border": "no",
    },
    "area_stays": WANG
    | {"area_id": "", "county": "某县", "entered_at": MORNING, "left_at": "", "source": "telecom"},
    "entries": WANG | {"country": "NZ", "port": "PVG", "port_city": "上海市", "entered_on": "2022-04-20"},
    "city_entries": WANG | {"at": MORNING, "from_county": "某县", "means": "train"},
    "purchases": WANG | {"at": MORNING, "medicine_class": "fever", "pharmacy": "F1"},
    "clinic_visits": WANG | {"at": MORNING, "symptom_class": "fever", "clinic": "H1"},
    "screening_rounds": {
        "round_id": "R1",
        "district": "朝阳区",
        "opened_at": MORNING,
        "closed_at": NOON,
        "due": "everyone",
    },
    "occupations": WANG | {"occupation": "courier", "every_days": "1", "from": MORNING, "to": ""},
    "isolations": WANG | {"kind": "home", "from": MORNING, "to": "", "site": "home"},
    "clearances": WANG
    | {
        "rule": "A-R1",
        "finding": "no_link",
        "officer": "o1",
        "second_officer": "o2",
        "at": NOON,
        "reason": "phone call",
    },
    "retractions": {
        "document_id": "D1",
        "source": "",
        "from": "",
        "to": "",
        "reason": "wrong person",
        "by": "o1",
    },
}
TABLES = [k for k in KINDS if k != "area_lists"]


def as_csv(rows: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None, end: str = "\n") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    names = list(columns or rows[0])
    writer.writerow(names)
    writer.writerows([row.get(n, "") for n in names] for row in rows)
    return out.getvalue().encode()


def as_ndjson(rows: Sequence[Mapping[str, str]]) -> bytes:
    return "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: Sequence[Mapping[str, Any]], **how: Any) -> bytes:
    names = list(rows[0])
    table = pa.table({n: pa.array([row.get(n) for row in rows], pa.string()) for n in names})
    return to_parquet(table, **how)


def to_parquet(table: pa.Table, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


FORMS = {"csv": as_csv, "ndjson": as_ndjson, "parquet": as_parquet}


def read(
    data: bytes, kind: str = "visits", form: Any = "csv", limits: Limits = DEFAULT, **how: Any
) -> list[Batch]:
    """Every batch; each of them is checked for what all of them promise."""
    batches = list(read_table(io.BytesIO(data), kind=kind, form=form, keyer=KEYER, limits=limits, **how))
    for batch in batches:
        assert batch.kind == kind
        assert batch.accepted.schema == KINDS[kind].schema
        assert batch.received == batch.accepted.num_rows + len(batch.refused)
        batch.accepted.validate(full=True)
        assert [r.row for r in batch.refused] == sorted(r.row for r in batch.refused)
    return batches


def accepted(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    return [row for b in batches for row in b.accepted.to_pylist()]


def refused(batches: Sequence[Batch]) -> list[tuple[int, int | None, str | None, str]]:
    return [(r.row, r.line, r.column, str(r.code)) for b in batches for r in b.refused]


def columns_of(kind: str) -> tuple[str, ...]:
    return outer_names(KINDS[kind])
