"""The resident's page beside a real city whose write plane is dark: what it shows comes out of the public folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import browser
from playwright.sync_api import Browser, Page, Route, expect

sys.path.insert(0, str(Path(__file__).parents[1] / "front"))
from hamlet import CHILD, NURSE, TEACHER, Person, result, tell
from test_front_serving import Served

sys.path.pop(0)
from kangma.store.state import open_state

PATIENCE = 120_000
KEPT = """() => new Promise((done, fail) => {
  const asked = indexedDB.open("kangma resident", 1);
  asked.onerror = () => fail(asked.error);
  asked.onsuccess = () => {
    const store = asked.result.transaction("kept").objectStore("kept");
    const [places, childs, keys] = [store.get("places "), store.get("places 1"), store.get("slot key")];
    keys.onsuccess = () => done({
      places: (places.result ?? []).map(({ path, key }) => [path, key.extractable]),
      childs: (childs.result ?? []).map(({ path, place }) => [path, place]),
      private: keys.result?.privateKey.extractable,
    });
  };
})"""


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def bind(page: Page, served: Served, person: Person) -> None:
    """Until the phone knows where its own slot stands."""
    page.goto(f"http://127.0.0.1:{served.port}/")
    named(page, person)
    page.click("button[type=submit]")
    page.wait_for_selector("#code")
    page.fill("#code", served.until(served.letter, "a letter"))
    with page.expect_response("**/v1/me/slots", timeout=PATIENCE) as told:
        page.click("button[type=submit]")
    assert told.value.status == 200
    page.wait_for_function(f"async () => (await ({KEPT})()).places.length === 3", timeout=PATIENCE)


def named(page: Page, person: Person) -> None:
    page.select_option("#type", person.id_type)
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)


def positive(served: Served, person: Person, now: int) -> None:
    """A laboratory's result comes in."""
    found = result(person, "S-77", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60)), "positive")
    found["sampled_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 7_200))
    with open_state(served.path) as state:
        tell(state, {"tests": [found]}, now)


def dark(route: Route) -> None:
    route.fulfill(status=503, headers={"retry-after": "1"}, body="{}")


@pytest.mark.prove
def test_a_nurse_whose_code_turns_while_the_door_is_dark_sees_it(chromium: Browser, tmp_path: Path) -> None:
    served = Served(tmp_path, "--sealed-every", "2")
    asked: list[tuple[str, str | None, str | None]] = []
    try:
        served.until(lambda: served.client.get("/public/latest.json").status_code == 200, "the first release")
        context = chromium.new_context(locale="en-US")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        bind(page, served, NURSE)
        kept = page.evaluate(KEPT)
        assert kept["private"] is False
        assert [extractable for _, extractable in kept["places"]] == [False] * 3
        expect(page.locator("#state.green")).to_be_visible(timeout=PATIENCE)

        # The write plane says "not now" to everybody; a laboratory's result comes in, and the city goes on.
        context.route("**/v1/**", dark)
        now = int(time.time())
        positive(served, NURSE, now)
        token = {"authorization": f"Bearer {served.bind()['token']}"}
        served.until(
            lambda: served.client.get("/v1/me/code", headers=token).json().get("colour") == "red", "red"
        )
        turned, part = time.time(), served.path / "public" / kept["places"][0][0]
        served.until(lambda: part.stat().st_mtime > turned + 1, "the next writing")
        page.on(
            "request",
            lambda r: asked.append((r.url, r.headers.get("range"), r.headers.get("authorization"))),
        )
        page.evaluate("dispatchEvent(new Event('online'))")
        expect(page.locator("#state.red")).to_be_visible(timeout=PATIENCE)
        ours = [x for x in asked if "/public/sealed/" in x[0]]
        assert ours, asked
        for _, ranged, authorization in ours:
            first, last = (int(n) for n in (ranged or "").removeprefix("bytes=").split("-"))
            assert (first % 32_768, last - first) == (0, 32_767)
            assert authorization is None
    finally:
        served.stop()
    # And when nothing answers any more, it stays as it was said last.
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(1_500)
    expect(page.locator("#state.red")).to_be_visible()
    context.close()


@pytest.mark.prove
def test_a_mother_sees_that_her_child_turned_while_the_door_is_dark(
    chromium: Browser, tmp_path: Path
) -> None:
    served = Served(tmp_path, "--sealed-every", "2")
    try:
        served.until(lambda: served.client.get("/public/latest.json").status_code == 200, "the first release")
        context = chromium.new_context(locale="en-US")
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        bind(page, served, TEACHER)
        page.click("a[href='#others']")
        page.click("summary:has-text('A child')")
        named(page, CHILD)
        page.click("button:has-text('Add the child')")
        with page.expect_response("**/v1/me/others/1/slots", timeout=PATIENCE) as told:
            page.click("button:has-text('Show')")
        assert told.value.status == 200
        page.wait_for_function(f"async () => (await ({KEPT})()).childs.length === 3", timeout=PATIENCE)
        expect(page.locator("#state.green")).to_be_visible(timeout=PATIENCE)

        context.route("**/v1/**", dark)
        release = served.client.get("/public/latest.json").json()["release"]
        positive(served, CHILD, int(time.time()))
        served.until(
            lambda: served.client.get("/public/latest.json").json()["release"] > release, "a release"
        )
        turned, part = time.time(), served.path / "public" / page.evaluate(KEPT)["childs"][0][0]
        served.until(lambda: part.stat().st_mtime > turned + 2, "the next writing")
        page.click("button:has-text('Back')")
        page.click("button:has-text('Show')")
        expect(page.locator("#state.red")).to_be_visible(timeout=PATIENCE)
    finally:
        served.stop()
