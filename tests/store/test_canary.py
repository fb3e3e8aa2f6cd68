"""No name, number or phone outside the vault and the sender's own rejects: unmistakable ones are sent in, in good rows
and bad, and then looked for in every form in every file."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import math
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from kangma.errors import KangmaError
from kangma.intake.identity import check_character
from kangma.store.forget import forget
from kangma.store.receive import receive_all
from kangma.store.registry import Registry
from kangma.store.state import State
from kangma.terms import zone

NAMES = ["龘靐齉爩", "Zyqqvax Ðþßœ"]
PHONES = ["+86 100 7771 3331", "10077713332"]
PASSPORT = "KX9137751"
NOW = 1_653_000_000


def resident(sequence: int) -> str:
    """A resident number of a region that is nobody's (119999), with a valid check character."""
    digits = f"11999919770707{sequence:03d}"
    return digits + check_character(digits)


NUMBERS = [resident(771), resident(772), PASSPORT]
CANARIES = [*NAMES, *PHONES, *NUMBERS]


def forms(text: str) -> dict[str, bytes]:
    """The bytes that a text has when somebody wrote it down in one of the usual ways."""
    utf8 = text.encode()
    out = {
        "raw": utf8,
        "url": urllib.parse.quote(text).encode(),
        "url plus": urllib.parse.quote_plus(text).encode(),
        "json": json.dumps(text)[1:-1].encode(),
        "hex": utf8.hex().encode(),
        "HEX": utf8.hex().upper().encode(),
        "utf-16": text.encode("utf-16-le"),
        "utf-16 be": text.encode("utf-16-be"),
        "gbk": text.encode("gb18030"),
    }
    for shift in range(3):
        # Base64 writes three bytes as four letters: what stands before a text shifts its letters.
        coded = base64.b64encode(b"\0" * shift + utf8)
        inner = coded[math.ceil(shift * 8 / 6) : len(coded) - 4]
        out[f"base64 {shift}"] = inner
        out[f"base64url {shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    return {name: form for name, form in out.items() if len(form) >= 6}


WANTED = [(c, name, form) for c in CANARIES for name, form in forms(c).items()]


def inflated(content: bytes) -> Iterator[bytes]:
    """The content, and whatever gzip or zlib streams it holds, unpacked."""
    yield content
    for magic, bits in ((b"\x1f\x8b\x08", 31), (b"\x78\x9c", 15), (b"\x78\xda", 15)):
        at = content.find(magic)
        while at >= 0:
            with contextlib.suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(content[at:], 1 << 24)
            at = content.find(magic, at + 1)


def parquet_values(file: Path) -> bytes:
    """Everything that a Parquet file says once its pages are unpacked: texts and bytes, names and metadata."""
    with duckdb.connect() as con:
        source = f"read_parquet('{file}')"
        parts: list[object] = []
        for column, kind in (
            con.sql(f"DESCRIBE SELECT * FROM {source}").project("column_name, column_type").fetchall()
        ):
            parts.append(column)
            if kind in ("VARCHAR", "BLOB"):
                parts += [v for (v,) in con.sql(f'SELECT DISTINCT "{column}" FROM {source}').fetchall()]
        parts += [
            v for row in con.sql(f"SELECT * FROM parquet_kv_metadata('{file}')").fetchall() for v in row
        ]
    return b"\n".join(p if isinstance(p, bytes) else str(p).encode() for p in parts)


def leaks(folder: Path, *, besides: tuple[str, ...]) -> list[str]:
    """Where a canary is found under `folder`, but for the parts named in `besides`."""
    found = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        where = str(file.relative_to(folder))
        if where.startswith(besides):
            continue
        contents = list(inflated(file.read_bytes()))
        if file.suffix == ".parquet":
            contents.append(parquet_values(file))
        for content in contents:
            found += [f"{where}: {form}" for _, form, plain in WANTED if plain in content]
        found += [f"the name of {where}" for c in CANARIES if c in where]
    return found


def write_files(folder: Path) -> None:
    """Good rows, bad rows and broken files of people who cannot be mistaken."""
    folder.mkdir()
    time = "2022-04-25T09:00:00+08:00"
    people = ["id_type,id_number,name,birth_date,phone"]
    people += [f"10,{NUMBERS[i]},{NAMES[i]},1977-07-07,{PHONES[i]}" for i in (0, 1)]
    people += [f"20,{PASSPORT},{NAMES[0]},1977-07-07,{PHONES[1]}"]
    bad = [f"10,{NUMBERS[0][:-1]}Q,{NAMES[0]},1977-07-07,{PHONES[0]}"]  # the check character
    bad += [f"{NAMES[0]},{NUMBERS[0]},{NUMBERS[1]},{PHONES[0]},{NAMES[1]}"]  # everything in the wrong column
    bad += [f'10,{NUMBERS[0]},"{NAMES[1]}']  # cut off
    (folder / "people.csv").write_text("\r\n".join([*people, *bad]))
    (folder / "people-header.csv").write_text(f"id_type,id_number,{NAMES[0]}\n10,{NUMBERS[0]},x\n")
    (folder / "people-latin.csv").write_bytes(f"id_type,{NAMES[0]}\n".encode("utf-16"))
    visit = {"id_type": "20", "id_number": PASSPORT, "place_id": "shop", "entered_at": time, "left_at": time}
    lines = [visit | {"source": "scan"}, visit | {"source": NAMES[0]}, visit | {NUMBERS[0]: PHONES[0]}]
    (folder / "visits.ndjson").write_text("\n".join(json.dumps(x, ensure_ascii=False) for x in lines) + "\n{")
    (folder / "bundle.json").write_text(
        json.dumps(
            {
                "resourceType": "Patient",
                "identifier": [{"system": NAMES[0], "value": NUMBERS[0]}],
                "name": [{"text": NAMES[1]}],
                "telecom": [{"system": "phone", "value": PHONES[0]}],
            }
        )
    )
    (folder / "night.hl7").write_text(
        f"MSH|^~\\&|LIS|lab7|HC|BJ|20220425||ORU^R01|m1|P|2.5.1\rPID|1||{NUMBERS[0]}^^^^NI||{NAMES[1]}\r"
    )
    poison = "specimen_id,id_type,id_number,reported_at,method,pooled,result,lab\r\n"
    (folder / "tests.csv").write_text(f"{poison}s1,10,{NUMBERS[1]},{time},nat,false,{NAMES[0]},lab\r\n")


def live_through(state: State, folder: Path) -> None:
    """Everything that the store does, with errors of every kind on the way."""
    receipts = list(receive_all(state, [folder], feed="registry", now=NOW))
    assert sum(x.accepted for x in receipts) >= 4
    assert sum(x.refused for x in receipts) >= 4
    shown = json.dumps([x.as_json() for x in receipts], ensure_ascii=False)
    assert not [c for c in CANARIES if c in shown.replace(str(folder), "")]
    state.absorb()
    list(receive_all(state, [folder], feed="registry", now=NOW))
    state.absorb()
    forget(state, NOW + 60 * 86_400, zone=zone("Asia/Shanghai"), cap=1.0)
    forget(state, NOW + 61 * 86_400, zone=zone("Asia/Shanghai"), cap=1.0)


def test_nothing_of_a_person_leaves_the_vault(
    state: State, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    write_files(tmp_path / "sent")
    live_through(state, tmp_path / "sent")
    assert leaks(state.path, besides=("rejects/",)) == []
    printed = "".join(capfd.readouterr()) + caplog.text
    assert not [c for c in CANARIES if c in printed]
    # what is sealed can still be opened, or the test would pass by losing everything
    found = state.vault.open(state.keyer().key("20", PASSPORT))
    assert found is not None
    assert (found.name, found.id_number) == (NAMES[0], PASSPORT)
    # and the rejects file, which is the sender's own, is his and our eyes only
    rejects = list((state.path / "rejects").iterdir())
    assert rejects
    assert all(f.stat().st_mode & 0o077 == 0 for f in [*rejects, state.path / "rejects"])
    summaries = b"".join(f.read_bytes() for f in rejects if f.suffix == ".json")
    assert not [c for c in CANARIES if c.encode() in summaries or json.dumps(c)[1:-1].encode() in summaries]


@pytest.mark.parametrize("way", ["log", "registry", "parquet", "gzip", "base64", "utf-16", "file name"])
def test_a_leak_of_any_of_these_ways_is_found(state: State, way: str) -> None:
    """The control: each way of leaking is tried on purpose, and the search above must find it."""
    name = NAMES[0]
    if way == "log":
        (state.path / "log" / "events.ndjson").write_text(json.dumps({"event": "row", "name": name}) + "\n")
    elif way == "registry":
        registry = Registry(state.path / "registry.sqlite")
        with registry.write() as on:
            on.exec_driver_sql(f"INSERT INTO feeds (feed, inside) VALUES ('{name}', 0)")
        registry.close()
    elif way == "parquet":
        with duckdb.connect() as con:
            target = state.path / "segments" / "leak.parquet"
            many = f"SELECT '{name}' || (i % 7) AS lab FROM range(50000) t(i)"
            con.execute(f"COPY ({many}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    elif way == "gzip":
        (state.path / "derived" / "x.bin").write_bytes(b"head" + gzip.compress(name.encode() * 3) + b"tail")
    elif way == "base64":
        (state.path / "derived" / "x.txt").write_bytes(b"q=" + base64.b64encode(b"a" + name.encode() + b"bc"))
    elif way == "utf-16":
        (state.path / "derived" / "x.txt").write_bytes(("x" + name).encode("utf-16-le"))
    else:
        (state.path / "derived" / f"{PASSPORT}.csv").write_text("")
    assert leaks(state.path, besides=("rejects/",)) != []


def test_a_field_that_is_not_on_the_list_is_not_logged(state: State) -> None:
    state.log.info("file received", accepted=3, name=NAMES[0], code=7)
    line = json.loads((state.path / "log" / "events.ndjson").read_text())
    assert line["accepted"] == 3
    assert line["dropped_fields"] == 2
    assert NAMES[0] not in str(line)


def test_errors_do_not_carry_what_was_sent(state: State) -> None:
    with pytest.raises(KangmaError) as refused:
        state.keyer().key("10", NUMBERS[0][:-1] + "Q")
    assert NUMBERS[0][:-1] not in str(refused.value)
