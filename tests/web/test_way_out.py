"""The page tells the way out a line a step, in both languages, as the city said it; what decided it is folded and last.

The server is front_stub.py, with codes of residents who stand in nobody's city. What was seen is in build/pages.
"""
# ruff: noqa: F811 - fixtures that are asked for by their names

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from front_stub import Person, Serving
from playwright.sync_api import expect
from test_front_pages import DESK, Open, alone, bind, chromium, city, keep, opened  # noqa: F401

from kangma.policy.explain import explain
from kangma.terms import DAY, HOUR

sys.path.append(str(Path(__file__).parents[1] / "policy"))
from resident import protocol_9

SMALL = {"width": 320, "height": 640}


def told(at: Serving, facts: dict[str, Any]) -> dict[str, Any]:
    """The code of somebody of whom this is known, as at the door's day."""
    said = explain(protocol_9(), facts, now=at.front.now)
    del said["person"]
    return said | {"name_mask": "某*", "release": 1, "more_holds": 0}


def someone(name: str, now: int) -> dict[str, Any]:
    met = {"case_id": "c", "minutes": 30.0, "meetings": 1, "last_at": now - DAY, "confirmed_at": now - HOUR}
    contact = {"degree": 1, "declared_degree": 1, "last_exposure_at": now - 2 * DAY}
    return {
        "notice": {"exposures": [met]},
        "red": {"contacts": [contact], "entries": [{"port_city": "上海", "entered_on": now // DAY - 1}]},
        "overdue": {"purchases": [{"at": now - 4 * DAY}]},
    }[name]


@pytest.mark.parametrize("lang", ["zh-CN", "en-GB"])
@pytest.mark.parametrize("name", ["notice", "red", "overdue"])
def test_each_step_is_a_line_and_rules_are_for_who_asks(
    name: str, lang: str, alone: Serving, opened: Open
) -> None:
    answer = told(alone, someone(name, alone.front.now))
    alone.front.code = lambda person: answer  # type: ignore[method-assign]
    page = opened(alone, "/", lang=lang, viewport=SMALL)
    person: Person = alone.front.town.people["notice"]
    bind(page, person)
    language = lang[:2]
    way = page.locator(".way")
    for leg, shown in zip(answer["way"], way.locator(".leg").all(), strict=True):
        expect(shown.locator("h3")).to_have_text(leg[language])
        lines = shown.locator("li").all()
        assert len(lines) == len(leg["steps"])
        for step, line in zip(leg["steps"], lines, strict=True):
            expect(line).to_contain_text(step[language])
            for other in step["or"]:
                expect(line.locator(".or")).to_contain_text(other[language])
        for other in leg["or"]:
            expect(shown.locator("> .or")).to_contain_text(other[language])
    for rule in {hold["rule"] for hold in answer["holds"]}:
        assert page.get_by_text(rule, exact=True).count() == 1
        expect(page.get_by_text(rule, exact=True)).to_be_hidden()
    keep(page, f"way-{name}-{language}-320", whole=True)
    decided = page.locator("details.decided")
    decided.locator("summary").click()
    for hold in answer["holds"]:
        expect(decided).to_contain_text(hold["rule"])
    expect(decided).to_contain_text(answer["policy"]["digest"])
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    keep(page, f"way-{name}-{language}-320-large", whole=True)
    page.set_viewport_size(DESK)
    page.evaluate("document.documentElement.style.fontSize = ''")
    keep(page, f"way-{name}-{language}-desk", whole=True)


def test_an_answer_kept_from_before_there_were_legs_is_shown_without(alone: Serving, opened: Open) -> None:
    answer = told(alone, someone("red", alone.front.now))
    del answer["way"]
    for hold in answer["holds"]:
        del hold["test_dates"]
    alone.front.code = lambda person: answer  # type: ignore[method-assign]
    page = opened(alone, "/")
    bind(page, alone.front.town.people["notice"])
    expect(page.locator("article.hold")).to_have_count(len(answer["holds"]))
    expect(page.locator(".way")).to_have_count(0)
