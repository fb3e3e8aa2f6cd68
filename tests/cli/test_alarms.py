"""An operator sees what must be looked at, and no name of anybody."""

import hashlib
import json
from pathlib import Path

from town import CLEARED, EVERYBODY, REGISTERED, done, kangma, write


def batch(folder: Path, sequence: int) -> Path:
    """The tests of the town as the batch of this number of a laboratory, with its manifest."""
    file = write(folder / str(sequence), CLEARED) / "tests.csv"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = {"feed": "lab7", "sequence": sequence, "rows": 1, "sha256": digest}
    file.with_name("tests.csv.manifest.json").write_text(json.dumps(manifest))
    return file


def test_a_batch_that_never_came_is_told_until_it_was_dealt_with(tmp_path: Path) -> None:
    state, now = tmp_path / "state", ("--now", "2022-04-24T08:00:00+08:00")
    done("init", state, "--policy", "beijing-2022-04-22", *now)
    done("ingest", state, write(tmp_path / "people", REGISTERED), *now)
    done("ingest", state, batch(tmp_path, 1), *now)
    quiet = kangma("alarms", state)
    assert (quiet.code, quiet.out) == (0, "No alarm.\n")

    done("ingest", state, batch(tmp_path, 3), *now)
    said = kangma("alarms", state)
    assert said.code == 1
    assert "a batch never came" in said.out
    assert not [secret for person in EVERYBODY for secret in person.secrets if secret in said.out]
    (alarm,) = json.loads(kangma("alarms", state, "--json").out)
    detail = {"expected": 2, "got": 3}
    assert (alarm["what"], alarm["feed"], alarm["detail"]) == ("sequence_gap", "lab7", detail)
    assert kangma("alarms", state, "--after", str(alarm["alarm"])).code == 0
