"""A nurse's example from the first file to the code and back to green, with dates worked by hand."""

from pathlib import Path

from town import ARRIVED, CLEARED, LI, REGISTERED, done, write


def test_an_arrival_is_reminded_then_stopped_after_72_hours_and_a_negative_test_clears_it(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    done("init", state, "--policy", "beijing-2022-04-22", "--now", "2022-04-20T00:00:00+08:00")

    morning = "2022-04-20T11:00:00+08:00"
    done("ingest", state, write(tmp_path / "first", {**REGISTERED, **ARRIVED}), "--now", morning)
    assert done("cycle", state, "--now", morning)["by_rule"] == {"A-P4a": 1}

    def code(now: str) -> dict[str, object]:
        answer = done("code", state, *LI.asked, "--now", now)
        notices = [(n["code"], n["kind"]) for n in answer["notices"]]
        return {"colour": answer["colour"], "notices": notices, "next": answer["next_change_at"]}

    stopped = "2022-04-23T10:00:00+08:00"
    reminded = {"colour": "green", "notices": [("4", "remind")], "next": stopped}
    assert code("2022-04-20T12:00:00+08:00") == reminded
    assert code("2022-04-23T09:59:59+08:00") == reminded
    assert code(stopped)["notices"] == [("4", "popup")]
    assert done("cycle", state, "--now", stopped)["by_state"]["popup"] == 1  # with no new document

    reported = "2022-04-24T03:00:00+08:00"
    done("ingest", state, write(tmp_path / "second", CLEARED), "--now", reported)
    cleared = done("cycle", state, "--now", reported)
    assert (cleared["turns"], cleared["by_rule"]) == (1, {})
    amended = "2022-05-04T00:00:00+08:00"  # nothing is awaited but the next version of the policy
    assert code(reported) == {"colour": "green", "notices": [], "next": amended}
    assert code("2022-04-24T02:59:59+08:00")["notices"] == [("4", "popup")]  # not yet reported


def test_sending_the_same_folder_twice_changes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    now = "2022-04-20T20:00:00+08:00"
    done("init", state, "--policy", "beijing-2022-04-22", "--now", now)
    sent = write(tmp_path / "sent", {**REGISTERED, **ARRIVED})
    first = done("ingest", state, sent, "--now", now)["files"]
    before = done("cycle", state, "--now", now)
    second = done("ingest", state, sent, "--now", now)["files"]
    after = done("cycle", state, "--now", now, "--everybody")
    assert [f["accepted"] for f in first] == [f["duplicate"] for f in second] == [1, 4]
    assert all(f["accepted"] == 0 for f in second)
    assert after["verdicts"] == before["verdicts"]
    assert (after["turns"], after["absorbed"], after["persons"]) == (0, {}, before["persons"])
