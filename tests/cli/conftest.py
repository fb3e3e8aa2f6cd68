from pathlib import Path

import pytest
from town import ARRIVED, MET, REGISTERED, done, write

POLICY = "beijing-2022-04-22"
EVENING = "2022-04-20T20:00:00+08:00"


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory that has taken everything of the town in, and has turned the wheel on the evening of 20 April.

    Tests look and do not touch.
    """
    folder = tmp_path_factory.mktemp("town")
    state = folder / "state"
    done("init", state, "--policy", POLICY, "--now", "2022-04-20T00:00:00+08:00")
    sent = write(folder / "sent", {**REGISTERED, **ARRIVED, **MET})
    done("ingest", state, sent, "--now", EVENING)
    done("cycle", state, "--now", EVENING)
    return state
