"""docs/formats/status-list.md shows what the code writes."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_lists import KEY, NOW, SIGNER, WEEK, claims

from kangma.status import delta, lists, token
from kangma.status.lists import Status
from kangma.status.token import open_cwt, to_cwt

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "status-list.md").read_text("utf-8")
SHOWN = [bytes.fromhex(block) for block in re.findall(r"^```text\n([0-9a-f\s]+)```$", PAGE, re.M)]


@pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="another zlib deflates otherwise")
def test_the_worked_example_is_what_the_code_writes() -> None:
    before = np.zeros(32, np.uint8)
    before[[3, 4, 9, 20]] = Status.YELLOW, Status.RED, Status.NOTICE, Status.INVALID
    after = before.copy()
    after[[3, 4, 31]] = Status.VALID, Status.VALID, Status.RED
    raw = lists.pack(before, 4)
    later = claims(after, iat=NOW + 900, exp=NOW + 900 + WEEK, release=8, tree_size=12_348)
    change = delta.delta_cwt(raw, NOW, lists.pack(after, 4), later, SIGNER)
    assert change is not None
    changes = delta.open_delta(change).verify(KEY).changes
    assert [raw, lists.compress(raw), to_cwt(claims(before), SIGNER), changes, change] == SHOWN


def test_the_worked_example_reads_as_the_page_says() -> None:
    listed = open_cwt(SHOWN[2]).verify(KEY)
    assert {i: listed.value(i) for i in range(32) if listed.value(i)} == {3: 0xC, 4: 0xD, 9: 3, 20: 1}
    found = delta.open_delta(SHOWN[4]).verify(KEY).apply(listed)
    assert {i: found.value(i) for i in range(32) if found.value(i)} == {9: 3, 20: 1, 31: 0xD}


def test_the_page_names_the_limits_that_hold() -> None:
    for limit, said in (
        (token.MOST_CWT, "| `MOST_CWT` | 540,000 "),
        (token.MOST_JWT, "| `MOST_JWT` | 950,000 "),
        (lists.MOST_RAW, "| `MOST_RAW` | 2^20 "),
        (delta.MOST_CHANGES, "| `MOST_CHANGES` | 2^18 "),
        (token.MOST_SUB, "| `MOST_SUB` | 256 "),
    ):
        base, _, power = said.split("|")[2].split()[0].replace(",", "").partition("^")
        assert limit == int(base) ** int(power or 1)
        assert said in PAGE
