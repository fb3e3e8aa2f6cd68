"""The resident's page takes nothing out of anybody's hands: words that are being typed, the focus, a fold, a button that
was pressed once, the six digits, the way back. And what a hand does twice is done once.

The server is front_stub.py. What was seen is in build/pages.
"""
# ruff: noqa: F811 - fixtures that are asked for by their names

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from front_stub import CODE, VENUE, Person, Serving
from playwright.sync_api import Locator, Page, Route, expect
from test_front_pages import Open, alone, bind, chromium, city, in_the_qr, keep, opened, tab_to  # noqa: F401

SMALL = {"width": 320, "height": 640}


def sent(at: Serving, method: str, path: str) -> int:
    """How often that was asked for."""
    return at.front.asked.count((method, path))


def news(at: Serving, page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """The phone is told of a change, as it is about once a minute, and draws it."""
    at.front.edited = change
    page.evaluate("dispatchEvent(new Event('online'))")


def reworded(said: dict[str, Any]) -> None:
    for hold in said["holds"]:
        hold["reason"] = {"zh": "换了说法。", "en": "In other words."}


def bound(at: Serving, opened: Open, who: str, **given: Any) -> Page:
    page = opened(at, "/", **{"lang": "en-GB", **given})
    bind(page, at.front.town.people[who])
    return page


def objecting(page: Page) -> Locator:
    """The form of an appeal, opened, with some words in it."""
    hold = page.locator("article").first
    hold.locator(".object").click()
    hold.locator("select").select_option("not_there")
    hold.locator("textarea").fill("I was at home and not there.")
    return hold


# redraws --------------------------------------------------------------------------------------------------------------


def test_an_appeal_that_is_being_typed_outlives_what_comes_meanwhile(alone: Serving, opened: Open) -> None:
    page = bound(alone, opened, "yellow")
    hold = objecting(page)
    text = hold.locator("textarea")
    text.evaluate("e => { e.focus(); e.setSelectionRange(9, 9); }")
    node = text.element_handle()
    news(alone, page, reworded)
    expect(page.locator("article").first).to_contain_text("In other words.")
    assert node.evaluate("e => [e.isConnected, document.activeElement === e, e.selectionStart]") == [
        True,
        True,
        9,
    ]
    page.keyboard.type("all day ")
    expect(text).to_have_value("I was at all day home and not there.")
    expect(hold.locator("select")).to_have_value("not_there")

    # A hold that came before it takes nothing away either.
    def another(said: dict[str, Any]) -> None:
        said["holds"].insert(
            0, said["holds"][0] | {"rule": "A-Y9", "reason": {"zh": "另一条。", "en": "Another."}}
        )

    news(alone, page, another)
    expect(page.locator("article").first).to_contain_text("Another.")
    expect(text).to_have_count(0)  # the first one's form is not open
    text = page.locator("article").nth(1).locator("textarea")
    expect(text).to_have_value("I was at all day home and not there.")
    expect(text).to_be_focused()


def test_a_redraw_leaves_the_focus_the_folds_and_a_button_that_was_pressed_once(
    alone: Serving, opened: Open
) -> None:
    page = bound(alone, opened, "yellow")
    hold = objecting(page)
    hold.locator("form .button").click()
    page.locator(".appeal summary").click()
    end = page.locator(".appeal .quiet")
    end.click()
    expect(end).to_have_text("Sure? Press again")
    tab_to(page, "#show")
    news(alone, page, reworded)
    expect(page.locator("article").first).to_contain_text("In other words.")
    expect(page.locator("#show")).to_be_focused()
    page.keyboard.press("Enter")  # it does what it says
    in_the_qr(page)
    expect(page.locator("#show")).to_be_focused()
    expect(page.locator(".appeal details")).to_have_attribute("open", "")
    expect(end).to_have_text("Sure? Press again")
    end.click()
    expect(page.locator(".appeal")).to_have_count(0)
    assert sent(alone, "DELETE", "/v1/me/appeals/0000000000000000") == 1


def test_a_list_that_comes_late_lets_no_pressed_button_go(alone: Serving, opened: Open) -> None:
    alone.front.others[1] = alone.front.town.people["green"], "guardian"
    page = bound(alone, opened, "yellow")
    page.click("#tabs a[href='#others']")
    expect(page.locator("section.card")).to_have_count(1)
    page.click("#tabs a[href='#code']")
    held: list[Route] = []
    page.route("**/v1/me/others", lambda route: held.append(route))  # noqa: PLW0108 - needs a function of Python's
    page.click("#tabs a[href='#others']")
    page.click("button:has-text('Stop showing')")
    sure = page.locator("button:has-text('Sure?')")
    expect(sure).to_be_enabled()
    alone.front.others[2] = alone.front.town.people["red"], "consent"
    while not held:
        page.wait_for_timeout(20)
    (route,) = held
    route.continue_()
    expect(page.locator("section.card")).to_have_count(2)
    expect(sure).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("section.card")).to_have_count(1)
    assert sent(alone, "DELETE", "/v1/me/others/1") == 1


def test_the_other_language_has_the_words_that_were_typed(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["yellow"]
    page = opened(alone, "/", lang="en-GB")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("#language")
    expect(page.locator("h1")).to_have_text("领取康码")
    assert (page.input_value("#number"), page.input_value("#name")) == (person.id_number, person.name)
    page.click("form .button")
    page.fill("#code", CODE[:4])
    page.click("#language")
    expect(page.locator("#code")).to_have_value(CODE[:4])
    page.fill("#code", CODE)
    page.click("form .button")
    objecting(page)
    page.click("#language")
    text = page.locator("article").first.locator("textarea")
    expect(text).to_be_visible()
    expect(text).to_have_value("I was at home and not there.")
    # Somebody looks up which test it was, and comes back.
    page.click("#tabs a[href='#more']")
    expect(page.locator("article")).to_have_count(0)
    page.go_back()
    expect(text).to_have_value("I was at home and not there.")
    expect(page.locator("article").first.locator("select")).to_have_value("not_there")


# twice ----------------------------------------------------------------------------------------------------------------


def test_what_is_clicked_twice_is_done_once(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["yellow"]
    alone.front.others[1] = alone.front.town.people["green"], "guardian"
    page = opened(alone, "/", lang="en-GB")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.dblclick("form .button")
    page.fill("#code", CODE)
    page.dblclick("form .button")
    page.locator("#state").wait_for()
    assert sent(alone, "POST", "/v1/bindings") == 1
    assert len(alone.front.residents) == 1
    hold = objecting(page)
    hold.locator("form .button").dblclick()
    page.locator(".appeal").wait_for()
    assert sent(alone, "POST", "/v1/me/appeals") == 1
    page.click("#tabs a[href='#more']")
    page.click("summary:has-text('On paper')")
    page.dblclick("text=Make a paper code")
    page.locator("#printed svg").wait_for()
    assert sent(alone, "POST", "/v1/me/paper") == 1
    # Who asks twice is not answered by a double click.
    page.click("#tabs a[href='#others']")
    end = page.locator(".press:has-text('Stop showing') button")
    end.dblclick()
    end = page.locator(".press:has-text('Sure?') button")
    expect(end).to_be_enabled()
    assert sent(alone, "DELETE", "/v1/me/others/1") == 0
    end.click()
    expect(page.locator("section.card")).to_have_count(0)
    assert sent(alone, "DELETE", "/v1/me/others/1") == 1


def test_a_press_while_the_answer_is_on_its_way_is_not_another_one(alone: Serving, opened: Open) -> None:
    """Not a double click: a hand that presses again because nothing happens; a key that is held down."""
    page = bound(alone, opened, "yellow")
    objecting(page)
    page.evaluate(
        "() => { for (let n = 0; n < 3; n++) document.querySelector('article form').requestSubmit(); }"
    )
    page.locator(".appeal").wait_for()
    assert sent(alone, "POST", "/v1/me/appeals") == 1
    page.click("#tabs a[href='#more']")
    page.click("summary:has-text('On paper')")
    make = page.locator("button:has-text('Make a paper code')")
    make.evaluate("e => { e.focus(); for (let n = 0; n < 3; n++) e.click(); }")
    page.locator("#printed svg").wait_for()
    assert sent(alone, "POST", "/v1/me/paper") == 1
    expect(make).to_be_focused()  # resting it keeps the focus


def test_the_language_turned_while_something_is_on_its_way_does_not_send_it_twice(
    alone: Serving, opened: Open
) -> None:
    """What is laid anew in the other language rests until the answer is there, and says what became of it."""
    alone.front.others[1] = alone.front.town.people["green"], "guardian"
    page = bound(alone, opened, "yellow")
    held: list[Any] = []

    def on_its_way() -> Any:
        for _ in range(400):
            if held:
                return held.pop()
            page.wait_for_timeout(50)
        raise AssertionError("nothing was sent")

    def hold_back(route: Any) -> None:
        if route.request.method in ("POST", "DELETE"):
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/me/appeals", hold_back)
    page.route("**/v1/me/others/1", hold_back)
    hold = objecting(page)
    hold.locator("form .button").click()
    page.wait_for_function("document.querySelector('form .button[aria-disabled]') !== null")
    page.click("#language")
    press = page.locator("article form .button")
    expect(press).to_have_text("提交申诉")
    expect(press).to_have_attribute("aria-disabled", "true")
    page.locator("article form").first.evaluate("form => form.requestSubmit()")
    on_its_way().abort()
    assert not held
    expect(press).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("article form .said")).to_contain_text("联系不上服务器")  # where it can be sent again
    press.click()
    on_its_way().continue_()
    page.locator(".appeal").wait_for()
    assert sent(alone, "POST", "/v1/me/appeals") == 1

    page.click("#tabs a[href='#others']")
    page.locator(".press button.quiet").first.click()
    end = page.locator(".press:has-text('确定') button")
    expect(end).to_be_enabled()
    end.click()
    page.click("#language")
    end = page.locator(".press:has-text('Sure?') button")
    expect(end).to_have_attribute("aria-disabled", "true")
    on_its_way().abort()
    expect(page.locator(".press button.quiet").first).to_have_text("Stop showing")
    assert sent(alone, "DELETE", "/v1/me/others/1") == 0

    page.route("**/v1/me/others", hold_back)
    page.click("details[data-keep='add elder'] > summary")
    page.fill("#number", alone.front.town.people["red"].id_number)
    page.fill("#name", alone.front.town.people["red"].name)
    page.click("details[data-keep='add elder'] form .button")
    page.click("#language")
    expect(page.locator("#number")).to_have_value(alone.front.town.people["red"].id_number)
    on_its_way().continue_()
    page.locator("#code").wait_for()
    page.click("details[data-keep='add elder'] > summary")
    expect(page.locator("#number")).to_have_value("")  # sent is sent, in either language
    assert sent(alone, "POST", "/v1/me/others") == 1


# what comes first -----------------------------------------------------------------------------------------------------


def test_who_is_red_finds_the_code_first_and_then_why_and_what_to_do(alone: Serving, opened: Open) -> None:
    """Thirteen cards of one size had the code's button below them."""
    page = bound(alone, opened, "red", viewport=SMALL, lang="zh-CN")
    expect(page.locator("article.hold").first).to_be_visible()
    show = page.locator("#show")
    expect(show).to_be_in_viewport(ratio=1)  # with nothing scrolled
    order = ["#state", "#show", ".rest", "article.hold", ".beside", ".facts"]
    places = page.evaluate(
        "all => all.map(one => document.querySelector(one).getBoundingClientRect().top)", order
    )
    assert places == sorted(places)
    # What does not make the colour is folded below what does.
    assert page.locator("article.hold:visible").count() == page.locator("article.hold.red").count()
    page.locator(".beside > summary").click()
    expect(page.locator("article.hold.remind").first).to_be_visible()
    page.evaluate("document.documentElement.style.fontSize = '32px'")
    box = show.bounding_box()
    assert box is not None
    assert (
        box["y"] + box["height"] <= 1.5 * SMALL["height"]
    )  # with letters twice as large: half a screen further
    page.click("#tabs a[href='#more']")
    expect(page.locator(".group > h2")).to_have_text(["我的记录", "没有手机时", "设备与授权"])


def test_the_day_in_the_head_is_the_one_on_which_the_last_reason_ends(alone: Serving, opened: Open) -> None:
    def three(said: dict[str, Any]) -> None:
        (hold,) = said["holds"]
        days = ("2022-04-25", "2022-05-07", "2022-05-02")
        said["holds"] = [
            hold | {"rule": f"A-Y{n}", "until": f"{day}T00:00:00+08:00"} for n, day in enumerate(days)
        ]

    alone.front.edited = three
    page = bound(alone, opened, "yellow")
    expect(page.locator("#ends")).to_contain_text("ends Sat 7 May")
    ends = page.locator(".ends b").all_inner_texts()
    assert ends[1].startswith("Sat 7 May")  # as its own card says
    page.click("#language")
    expect(page.locator("#ends")).to_contain_text("预计5月7日周六结束")

    def open_ended(said: dict[str, Any]) -> None:
        three(said)
        said["holds"][2]["until"] = None

    news(alone, page, open_ended)  # nobody knows the day then
    expect(page.locator("#ends")).to_have_count(0)


# the six digits -------------------------------------------------------------------------------------------------------

KEPT = """async () => {
    const open = indexedDB.open("kangma resident");
    await new Promise(done => { open.onsuccess = done; });
    const kept = open.result.transaction("kept").objectStore("kept");
    const all = await new Promise(done => { const r = kept.getAll(); r.onsuccess = () => done(r.result); });
    return JSON.stringify([all, {...sessionStorage}, {...localStorage}, history.state, location.href]);
}"""


def test_who_reads_the_digits_elsewhere_finds_the_second_step_again(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["green"]
    page = opened(alone, "/", lang="en-GB")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    expect(page.locator("#code")).to_be_focused()
    page.reload()
    page.locator("#code").wait_for()
    assert person.id_number not in page.evaluate(KEPT)
    assert person.name not in page.evaluate(KEPT)
    page.goto(alone.base)  # as who opens it from the home screen
    page.fill("#code", CODE)
    page.click("form .button")
    page.locator("#state").wait_for()
    assert "binding" not in json.loads(page.evaluate(KEPT))[0]


def test_after_ten_minutes_the_digits_are_over(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["green"]
    page = opened(alone, "/", lang="en-GB")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    page.locator("#code").wait_for()
    page.clock.set_fixed_time(alone.front.now + 601)
    page.reload()
    page.locator("#number").wait_for()
    expect(page.locator("#code")).to_have_count(0)


def ask_for(page: Page, person: Person) -> None:
    page.click("summary:has-text('An elder')")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("details form .button")


def test_an_elders_digits_are_waited_for_wherever_somebody_looks_meanwhile(
    alone: Serving, opened: Open
) -> None:
    elder = alone.front.town.people["green"]
    page = bound(alone, opened, "yellow")
    page.click("#tabs a[href='#others']")
    held: list[Route] = []
    page.route(
        "**/v1/me/others",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    with page.expect_request(lambda asked: asked.method == "POST" and asked.url.endswith("/v1/me/others")):
        ask_for(page, elder)
    page.click("#tabs a[href='#more']")
    with page.expect_response(lambda said: said.request.method == "POST"):
        held.pop().continue_()  # the answer finds another view
    expect(page.locator("#tabs a[aria-current]")).to_have_text("More")
    page.reload()
    page.click("#tabs a[href='#others']")
    assert elder.id_number not in page.evaluate(KEPT)
    page.fill("#code", "000000")
    page.click("form:has(#code) .button")
    expect(page.locator("#code-wrong")).to_contain_text("not the code")
    page.fill("#code", CODE)
    page.click("form:has(#code) .button")
    card = page.locator("section.card:has-text('with their consent')")
    expect(card.locator("h2")).to_have_text(elder.name)  # as who added them calls them
    expect(page.locator("#code")).to_have_count(0)


@pytest.mark.parametrize("lang", ["zh-CN", "en-GB"])
def test_six_digits_and_eight_are_in_sight_with_letters_twice_as_large(
    lang: str, alone: Serving, opened: Open
) -> None:
    person = alone.front.town.people["green"]
    page = opened(alone, "/", lang=lang, viewport=SMALL)
    page.evaluate("document.documentElement.style.fontSize = '32px'")

    def whole(selector: str, digits: str) -> None:
        page.fill(selector, digits)
        over = page.evaluate(
            "one => { const e = document.querySelector(one);"
            " return [e.scrollWidth - e.clientWidth, e.getBoundingClientRect().right - innerWidth]; }",
            selector,
        )
        assert over[0] <= 0, selector
        assert over[1] <= 0, selector

    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    whole("#code", "808080")
    keep(page, f"digits-200-{lang}", whole=True)
    name, other = (page.locator(one).bounding_box() for one in (".mark b", "#language"))
    assert name is not None
    assert other is not None
    assert name["x"] + name["width"] <= other["x"] or name["y"] + name["height"] <= other["y"]
    page.fill("#code", CODE)
    page.click("form .button")
    page.locator("#clock").wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= SMALL["width"]
    page.click("#tabs a[href='#scan']")
    page.locator("summary h2").click()
    for selector in ("#venue", "#digits"):
        whole(selector, f"{VENUE[:4]} {VENUE[4:]}")


# what is wrong, and beside what ---------------------------------------------------------------------------------------


def moved(number: str) -> str:
    """The same with another last character."""
    return number[:17] + ("0" if number[17] != "0" else "1")


def test_what_is_wrong_with_a_number_is_said_beside_it(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["green"]
    page = opened(alone, "/", lang="en-GB")
    expect(page.locator("#number-hint")).to_have_text("18 characters; the last may be an X.")
    page.fill("#name", person.name)
    wrong = page.locator("#number-wrong")
    says = {
        person.id_number[:17]: "18 characters: 17 digits, and a last one that is a digit or an X",
        moved(person.id_number): "The last character does not fit",
    }
    for number, said in says.items():
        page.fill("#number", number)
        page.click("form .button")
        expect(wrong).to_contain_text(said)
        expect(wrong).to_have_attribute("role", "alert")
        expect(page.locator("#number")).to_be_focused()
        expect(page.locator("#number")).to_have_attribute("aria-invalid", "true")
        assert "number-wrong" in (page.get_attribute("#number", "aria-describedby") or "").split()
        keep(page, "bad-number-en")
        page.keyboard.press("End")
        page.keyboard.type(" ")  # while it is mended nothing is held against it
        expect(wrong).to_have_text("")
    page.select_option("#type", "20")
    expect(page.locator("#number-hint")).to_contain_text("E12345678")
    page.fill("#number", "E1234-5678")
    page.click("form .button")
    expect(wrong).to_contain_text("5 to 20 letters and digits")
    page.click("#language")
    page.click("form .button")
    expect(wrong).to_contain_text("5 至 20 位字母和数字")
    page.select_option("#type", "10")
    page.fill("#number", "11010119900307")
    page.click("form .button")
    expect(wrong).to_contain_text("18 位：17 位数字，最后一位是数字或 X")
    keep(page, "bad-number-zh")
    assert sent(alone, "POST", "/v1/bindings") == 0
    # As it is typed on many phones: wide, small, with spaces.
    page.fill(
        "#number",
        "".join(chr(ord(c) + 0xFEE0) for c in person.id_number[:6]) + f" {person.id_number[6:].lower()}",
    )
    page.click("form .button")
    page.locator("#code").wait_for()
    assert list(alone.front.bindings.values()) == [person]


def test_what_the_server_says_of_a_number_stands_beside_it_too(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["green"]
    page = opened(alone, "/", lang="en-GB")
    problem = {"title": "Not taken", "status": 422, "code": "bad_id_number", "where": "id_number"}
    page.route("**/v1/bindings", lambda route: route.fulfill(status=422, body=json.dumps(problem)))
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    expect(page.locator("#number-wrong")).to_contain_text("18 characters")


def test_what_did_not_work_is_said_beside_the_button(alone: Serving, opened: Open) -> None:
    page = bound(alone, opened, "yellow")
    page.click("#tabs a[href='#more']")
    for fold, press in (("On paper", "Make a paper code"), ("Export", "Download"), ("Unbind", "Unbind")):
        page.click(f"summary:has-text('{fold}')")
        alone.front.lost = lambda path: path.startswith("/v1/")
        made = page.locator(f".press:has(button:has-text('{press}'))")
        name = made.locator("button").inner_text()
        made.locator("button").click()
        if fold == "Unbind":
            page.click("text=Press again")
            made = page.locator(f"details:has(summary:has-text('{fold}')) .press")
        said = made.locator("[role=alert]")
        expect(said).to_contain_text("cannot be reached")
        expect(made.locator("button")).to_have_text(name)  # a button's name is no place for it
        alone.front.lost = lambda path: False


# devices, and the way back --------------------------------------------------------------------------------------------


def test_the_list_of_devices_says_which_one_is_this(alone: Serving, opened: Open) -> None:
    page = bound(alone, opened, "green")
    page.click("#tabs a[href='#more']")
    page.click("summary:has-text('Bound devices')")
    expect(page.locator(".device")).to_have_count(2)
    expect(page.locator(".device").first).to_contain_text("This device")
    expect(page.locator(".mine")).to_have_count(1)
    keep(page, "devices-en", whole=True)
    other = page.locator(".device").nth(1)
    other.locator("button").click()
    page.click("text=Press again")
    expect(page.locator(".device")).to_have_count(1)
    assert sent(alone, "DELETE", "/v1/me/devices/0123456789abcdef") == 1
    page.reload()
    page.click("summary:has-text('Bound devices')")
    expect(page.locator(".device").first).to_contain_text("This device")


def test_a_phone_that_was_bound_before_it_was_told_learns_its_name_with_its_token(
    alone: Serving, opened: Open
) -> None:
    page = bound(alone, opened, "green")
    page.evaluate(
        """async () => {
            const open = indexedDB.open("kangma resident");
            await new Promise(done => { open.onsuccess = done; });
            const kept = open.result.transaction("kept", "readwrite").objectStore("kept");
            const asked = kept.get("device");
            await new Promise(done => { asked.onsuccess = done; });
            const { device: _, ...before } = asked.result;
            await new Promise(done => { kept.put(before, "device").onsuccess = done; });
        }"""
    )
    alone.front.tokens.clear()
    page.reload()
    page.click("#tabs a[href='#more']")
    page.click("summary:has-text('Bound devices')")
    expect(page.locator(".device").first).to_contain_text("This device")


def test_back_leads_to_the_view_before_and_not_out_of_the_page(alone: Serving, opened: Open) -> None:
    person = alone.front.town.people["yellow"]
    alone.front.others |= {
        1: (alone.front.town.people["green"], "guardian"),
        2: (alone.front.town.people["red"], "consent"),
    }
    page = opened(alone, "/", lang="en-GB")
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    page.locator("#code").wait_for()
    page.go_back()  # to mend a letter, with what was typed
    expect(page.locator("#number")).to_have_value(person.id_number)
    page.go_forward()
    page.fill("#code", CODE)
    page.click("form .button")
    page.locator("#state").wait_for()
    page.click("#tabs a[href='#others']")
    page.locator("section.card .button").nth(1).click()
    expect(page.locator("#state h1")).to_have_text("Red")
    assert page.url.endswith("#others.2")
    page.reload()  # it has an address
    expect(page.locator("#state h1")).to_have_text("Red")
    page.go_back()
    expect(page.locator("section.card")).to_have_count(2)
    assert page.url.endswith("#others")
    page.go_forward()
    expect(page.locator("#state h1")).to_have_text("Red")
    page.click("button:has-text('Back')")  # the page's own does not pile up views
    expect(page.locator("section.card")).to_have_count(2)
    page.go_back()
    expect(page.locator("#state h1")).to_have_text("Yellow")
    assert page.url.startswith(alone.base)
    # Somebody who is in this care no more has no view.
    page.goto(f"{alone.base}/#others.4")
    expect(page.locator("section.card")).to_have_count(2)
