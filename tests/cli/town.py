"""A town of four invented people, written as the CSV files that a sender would write, and the way to call `kangma`.

Their names, numbers and phones are unmistakable, so that they can be looked for in everything that comes out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kangma.cli import main
from kangma.intake.identity import check_character


@dataclass(frozen=True)
class Person:
    id_type: str
    id_number: str
    name: str
    phone: str

    @property
    def named(self) -> dict[str, str]:
        return {"id_type": self.id_type, "id_number": self.id_number}

    @property
    def asked(self) -> tuple[str, ...]:
        return ("--id-type", self.id_type, "--id-number", self.id_number)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.id_number, self.name, self.phone)


def resident(sequence: int) -> str:
    """A number of a region that is nobody's (119999), with its check character."""
    digits = f"11999919660606{sequence:03d}"
    return digits + check_character(digits)


LI = Person("10", resident(611), "麤䨻暦", "10066613331")  # comes to Beijing
QIN = Person("10", resident(612), "Qvyzzax Ωλδ", "10066613332")  # is a case
ZHOU = Person("20", "KX6617751", "䶮靁齾", "10066613333")  # sat beside the case
GU = Person("10", resident(613), "Grøzzvik Þy", "10066613334")  # met nobody
EVERYBODY = (LI, QIN, ZHOU, GU)
STRANGER = Person("20", "ZZ4449991", "", "")  # of whom nothing is known

Tables = Mapping[str, Sequence[Mapping[str, str]]]

REGISTERED: Tables = {
    "people": [
        p.named | {"name": p.name, "birth_date": "1966-06-06", "phone": p.phone, "district": "朝阳区"}
        for p in EVERYBODY
    ]
}
ARRIVED: Tables = {
    "city_entries": [
        LI.named | {"at": "2022-04-20T10:00:00+08:00", "from_county": "辽宁省样本市", "means": "train"}
    ]
}
CLEARED: Tables = {
    "tests": [
        LI.named
        | {
            "specimen_id": "S-1",
            "sampled_at": "2022-04-23T12:00:00+08:00",
            "reported_at": "2022-04-24T03:00:00+08:00",
            "method": "nat",
            "pooled": "false",
            "result": "negative",
            "lab": "样本实验室",
        }
    ]
}
MET: Tables = {
    "places": [
        {
            "place_id": "noodles",
            "name": "样本面馆",
            "kind": "venue",
            "lat": "39.9",
            "lon": "116.4",
            "district": "朝阳区",
        }
    ],
    "visits": [
        p.named
        | {
            "place_id": "noodles",
            "entered_at": f"2022-04-19T{entered}:00+08:00",
            "left_at": f"2022-04-19T{left}:00+08:00",
            "source": "scan",
        }
        for p, entered, left in ((QIN, "12:00", "13:00"), (ZHOU, "12:15", "12:45"), (GU, "18:00", "19:00"))
    ],
    "cases": [
        QIN.named | {"case_id": "C-1", "kind": "confirmed", "confirmed_at": "2022-04-20T18:00:00+08:00"}
    ],
}


def write(folder: Path, tables: Tables) -> Path:
    """The folder, with one CSV file for each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, rows in tables.items():
        with (folder / f"{kind}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


#: Everything that any call said, for the test that looks for names in it.
HEARD: list[str] = []


def kangma(*arguments: object) -> Said:
    """What the command says and how it exits, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    said = Said(code, out.getvalue(), err.getvalue())
    HEARD.extend((said.out, said.err))
    return said


def done(*arguments: object) -> Any:
    """The JSON that the command prints, which must have succeeded."""
    said = kangma(*arguments, "--json")
    assert said.code == 0, said.err
    return said.json
