"""The small city whose numbers are checked in: `python -m kangma.city.baseline` compares, `--write` moves it.

Moving the baseline is a decision: the diff of the JSON file says what a change of the generator did to the city.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from kangma.city.atlas import NEVER
from kangma.city.run import City, make_city
from kangma.city.write import plain

RESIDENTS, DAYS, SEED, INFECTED = 2_000, 14, 20_220_415, 8
FILE = Path("tests/baseline/city-2000.json")


def small_city() -> City:
    return make_city(RESIDENTS, DAYS, SEED, infected=INFECTED)


def digest(city: City) -> str:
    """SHA-256 over every table of every day as CSV: equal for equal cities, whatever made them."""
    whole = hashlib.sha256()
    for day in range(city.days):
        for kind, table in city.arrivals(day).items():
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(plain(table), sink)
            whole.update(f"{day} {kind}\n".encode())
            whole.update(sink.getvalue())
    return whole.hexdigest()


def numbers(city: City) -> dict[str, Any]:
    """The counts by which a change of the city is seen."""
    rows: dict[str, list[int]] = {}
    for day in range(city.days):
        for kind, table in city.arrivals(day).items():
            rows.setdefault(kind, [0] * city.days)[day] = table.num_rows
    truth = city.truth()
    kinds: dict[str, int] = {}
    for kind in truth["place_kind"].to_pylist():
        kinds[kind or "outside"] = kinds.get(kind or "outside", 0) + 1
    return {
        "residents": city.residents,
        "days": city.days,
        "seed": city.seed,
        "households": len(city.people.district),
        "places": city.places.size,
        "rows_by_day": rows,
        "infections_by_place": dict(sorted(kinds.items())),
        "with_symptoms": int(np.count_nonzero(city.epidemic.onset != NEVER)),
        "cases": len(city.response.cases),
        "digest": digest(city),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kangma.city.baseline", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="replace the numbers by those of today's generator"
    )
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    now = numbers(small_city())
    if options.write:
        options.file.parent.mkdir(parents=True, exist_ok=True)
        options.file.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {options.file}")
        return 0
    then = json.loads(options.file.read_text(encoding="utf-8"))
    different = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    for key in different:
        print(f"{key}: {then.get(key)} → {now.get(key)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
