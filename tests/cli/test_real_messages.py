"""The HL7 files and FHIR bundles that others published, through the command: accepted or refused, none lost."""

import os
from pathlib import Path

import pytest
from town import done, kangma

REAL = Path(os.environ.get("KANGMA_DATA", Path(__file__).parents[3] / "shared" / "data"))
real = pytest.mark.skipif(not REAL.exists(), reason="the real messages are not here (KANGMA_DATA)")


@real
@pytest.mark.real_data
def test_every_real_message_is_accepted_or_refused_with_a_code(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done("init", state, "--policy", "beijing-2022-04-22")
    hl7 = sorted(f for f in (REAL / "hl7v2").iterdir() if f.suffix in (".txt", ".hl7"))
    fhir = sorted((REAL / "fhir").glob("*.json"))
    assert (len(hl7), len(fhir)) == (14, 7)
    said = kangma("ingest", state, *hl7, *fhir, "--zone", "America/New_York", "--json")
    files = said.json["files"]
    assert [Path(f["path"]).name for f in files] == [f.name for f in (*hl7, *fhir)]
    for f in files:
        assert f["received"] == f["accepted"] + f["duplicate"] + f["refused"] + f["quarantined"]
        assert f["received"] > 0 or f["code"], f["path"]  # nothing is dropped in silence
        assert f["refused"] == sum(f["codes"].values())
        assert f["quarantined"] == 0
    (batch,) = (f for f in files if f["path"].endswith("phlip-flu-batch.txt"))
    assert batch["received"] == 5
    assert batch["codes"] == {
        "no_person": 1,
        "not_a_result": 1,
        "unsupported_message": 2,
    }  # influenza only: no result
    assert said.code == (2 if any(f.get("code") for f in files) else 0)
