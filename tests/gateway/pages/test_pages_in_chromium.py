"""The pages in a browser without scripts: by keyboard alone, on a phone and at a desk, in both languages, in the dark, at
twice the size, on paper; and axe, which finds nothing. What was seen is kept in build/pages to be looked at.

The server is `kangma incident serve`, a process of its own. axe runs from outside the page, which allows no script.
"""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from chromium import browser
from house import NAMES, NOW, RECORD, House, house
from photographs import photograph
from playwright.sync_api import Browser, BrowserContext, Page, expect

from kangma.gateway.register.pictures import drawn_anew
from kangma.incidents.form import from_json
from kangma.incidents.founding import records
from kangma.incidents.life import Change, Right, Role
from kangma.incidents.words import Words
from kangma.store.register_members import Passkey

ROOT = Path(__file__).parents[3]
SEEN = ROOT / "build" / "pages"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
FOUNDING = "2022-04-28-jiankangbao"
LONG = {
    "id": "long-names",
    "victim": {
        "name": "国家健康证明与数字凭证管理和核验及其他一切相关事务综合服务中心第二分中心",
        "names": {
            "en": "The Second Branch of the National Centre for Administration and Verification of Health Certificates",
            "de": "Gesundheitsnachweisverwaltungsdienstleistungszentralstellenzweigniederlassung",
        },
        "country": "several",
        "sector": "public-health",
    },
    "date": "2023-01/2023-03-05",
    "summary": {
        "zh": "名称很长。" * 30,
        "en": "Long: Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft. " * 4,
    },
    "kinds": ["exposure", "misuse", "configuration-error"],
    "confidentiality": {"degree": "whole", "note": {"en": "x" * 300}},
    "integrity": {"degree": "partial"},
    "impact": [{"value": "123456789012345678", "unit": "records", "what": {"en": "records"}}],
    "sources": [{"title": "A source", "url": "https://news.example/" + "a" * 300}],
    "levels": {"motives": "member"},
    "motives": [{"term": "fun"}],
}  # fmt: skip
PUBLIC = (
    "/incidents", "/incidents?q=attack&kind=overload", "/incidents?q=nothingofthekind&year=2021",
    f"/incidents/{FOUNDING}",
    "/incidents/an-attack", "/incidents/an-attack/versions/1", "/incidents/an-attack/difference?from=1&to=2",
    "/incidents/long-names", "/victims/健康宝", "/chart", "/chart?by=kind&step=month", "/map", "/members",
    "/about", "/docs", "/nowhere",
)  # fmt: skip
DESK = (
    "/members",
    "/members/new",
    "/members/work/in-work",
    "/members/work/in-work/edit",
    "/members/work/in-work/picture",
    "/members/work/long-names",
    "/members/work/long-names/edit",
    "/members/account",
    "/members/looks",
    f"/incidents/{FOUNDING}",
)
LONGEST_NAME = "国家健康证明与数字凭证管理和核验综合服务中心第二分中心-Donaudampfschifffahrt"[:64]
OFFICE = (
    "/members",
    "/members/account",
    "/members/accounts",
    "/members/accounts/one?account=rob",
    f"/members/accounts/one?account={quote(LONGEST_NAME)}",
    "/members/looks",
    "/members/looks?account=ed",
)
#: Who sees what.
SHOWN = ((None, PUBLIC), (Role.EDITOR, DESK), (Role.ADMINISTRATOR, OFFICE))


@dataclass
class Served:
    base: str
    at: House

    def context(
        self,
        chromium: Browser,
        lang: str = "en",
        *,
        role: Role | None = None,
        axe: bool = False,
        **given: Any,
    ) -> BrowserContext:
        """A browser of its own, without scripts unless axe is to run in it; signed in as `role`. It may ask nobody but
        the server."""
        given = {"viewport": {"width": 1280, "height": 900}, **given}
        context = chromium.new_context(
            locale={"zh": "zh-CN", "en": "en-GB"}[lang],
            java_script_enabled=axe,
            **given,
        )
        if role:
            context.add_cookies([{"name": "kangma", "value": self.sessions[role], "url": self.base}])
        context.set_default_timeout(10_000)
        context.on("request", lambda request: self.asked.append(request.url))
        return context

    asked: list[str]
    sessions: Mapping[Role, str]


def in_person(at: House, role: Role) -> str:
    """The session of a member of that role, by the wall clock; its passkey is none that a browser has."""
    members, account, now = at.register.members, NAMES[role], int(time.time())
    id = secrets.token_bytes(32)
    passkey = Passkey(id, account, b"", 0, True, role is Role.EDITOR)
    members.enrol(passkey, challenge=members.challenge("enrol", now=now), invitation=None, now=now)
    return members.sign_in(
        id, challenge=members.challenge("sign-in", now=now), count=0, eligible=True,
        backed_up=role is Role.EDITOR, now=now,
    )[0]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder, base = tmp_path_factory.mktemp("seen") / "register", f"http://127.0.0.1:{port}"
    with house(folder, base) as at:
        ed, rob = at.caller(Role.EDITOR), at.caller(Role.REVIEWER)
        at.register.found(at.caller(Role.ADMINISTRATOR), records(), now=NOW)
        at.publish(RECORD)
        at.publish(LONG)
        edit = at.register.reopen(
            ed,
            "an-attack",
            Change.CORRECTION,
            Words.of({"zh": "更正日期", "en": "The date was wrong"}),
            now=NOW,
        )
        changed = RECORD | {
            "date": "2022-04-27",
            "summary": {"zh": "凌晨遭到攻击，服务未中断", "en": "Attacked before dawn; it went on"},
        }
        edit = at.register.edit(ed, from_json(changed), after_edit=edit, now=NOW)
        at.register.submit(ed, "an-attack", now=NOW)
        at.register.approve(rob, "an-attack", edit=edit, now=NOW)
        at.register.publish(rob, "an-attack", now=NOW)
        at.register.new(
            ed, from_json({"id": "in-work", "victim": {"name": "松榆里"}, "date": "2024"}), now=NOW
        )
        # A correction that hides what was public, with a picture.
        edit = at.register.reopen(
            ed, "long-names", Change.CORRECTION, Words.of({"zh": "隐去", "en": "Hide"}), now=NOW
        )
        media, content = drawn_anew(photograph("JPEG", (1_600, 900)))
        picture = {"digest": at.register.keep_picture(ed, content, media), "type": media, "licence": "own"}
        hiding = LONG | {"levels": {"motives": "member", "summary": "member", "kinds": "member"}}
        hiding |= {"picture": picture | {"alt": {"zh": "一半红一半蓝", "en": "Half red, half blue"}}}
        at.register.edit(ed, from_json(hiding), after_edit=edit, now=NOW)
        # Accounts to whom something happened: a second administrator's word is wanted for rob, and ed has news.
        ann, now = at.caller(Role.ADMINISTRATOR), int(time.time())
        at.register.add_account(ann, LONGEST_NAME, LONG["victim"]["names"]["en"], Role.ADMINISTRATOR, now=NOW)  # type: ignore[index]  # a dict of strings
        sessions = {role: in_person(at, role) for role in (Role.READER, Role.EDITOR, Role.ADMINISTRATOR)}
        in_person(at, Role.REVIEWER)
        at.register.make_token(ann, "ed", {Right.SIGNAL}, now=now, expires_at=now + 10**7)
        token, _ = at.register.make_token(
            ed, "ed", {Right.READ, Right.WRITE}, now=now, expires_at=now + 10**7
        )
        at.register.close_token(ed, token, now=now)
        for other in (ann, at.register.member(LONGEST_NAME)):
            at.register.members.invite(other.rights, other.account, "rob", now=now)
        command = [sys.executable, "-m", "kangma", "incident", "serve", str(folder), "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, "the server did not start"
            try:
                yield Served(base, at, [], sessions)
            finally:
                server.terminate()
                server.wait(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def keep(page: Page, name: str, *, whole: bool = True) -> None:
    SEEN.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SEEN / f"{name}.png", full_page=whole)


def name_of(address: str) -> str:
    return (
        re.sub(r"[^a-z0-9]+", "-", address.casefold().replace("健康宝", "jiankangbao")).strip("-")[:80]
        or "home"
    )


# axe

_RUN = """async () => (await axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    rules: {'target-size': {enabled: true}},
})).violations.map(v => v.id + ': ' + v.nodes.map(
    n => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join(' | '))"""


def found_by_axe(page: Page) -> list[str]:
    if not AXE.exists():
        pytest.fail(f"{AXE} is missing: make web")
    page.evaluate(AXE.read_text("utf-8"))
    return list(page.evaluate(_RUN))


@pytest.mark.parametrize(
    ("lang", "scheme", "size"), [("zh", "dark", (360, 740)), ("en", "light", (1280, 900))]
)
def test_axe_finds_nothing(
    chromium: Browser, served: Served, lang: str, scheme: Any, size: tuple[int, int]
) -> None:
    """Every page once, every other one in this language and light; each of them in each is under `prove`."""
    search(chromium, served, lang, scheme, size, lambda i: i % 2 == (lang == "zh"))


@pytest.mark.prove
@pytest.mark.parametrize("size", [(360, 740), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_axe_finds_nothing_on_any_page(
    chromium: Browser, served: Served, lang: str, scheme: Any, size: tuple[int, int]
) -> None:
    search(chromium, served, lang, scheme, size, lambda _: True)


def search(
    chromium: Browser,
    served: Served,
    lang: str,
    scheme: Any,
    size: tuple[int, int],
    chosen: Callable[[int], bool],
) -> None:
    found: dict[str, list[str]] = {}
    for role, addresses in SHOWN:
        wide: Any = {"width": size[0], "height": size[1]}
        context = served.context(chromium, lang, role=role, axe=True, color_scheme=scheme, viewport=wide)
        page = context.new_page()
        for i, address in enumerate(addresses):
            if chosen(i):
                page.goto(served.base + address)
                if faults := found_by_axe(page):
                    found[address] = faults
        context.close()
    assert not found, "\n".join(f"{a}: {f[:600]}" for a, faults in found.items() for f in faults)


@pytest.mark.prove
@pytest.mark.parametrize("contrast", ["more", "no-preference"])
@pytest.mark.parametrize("wide", [320, 768, 1920])
def test_axe_finds_nothing_at_any_width_or_contrast(
    chromium: Browser, served: Served, wide: int, contrast: Any
) -> None:
    for lang, scheme in (("zh", "dark"), ("en", "light")):
        for role, addresses in SHOWN:
            context = served.context(
                chromium, lang, role=role, axe=True, color_scheme=scheme, contrast=contrast,
                viewport={"width": wide, "height": 800},
            )  # fmt: skip
            page = context.new_page()
            for address in addresses:
                page.goto(served.base + address)
                assert found_by_axe(page) == [], (address, lang, scheme)
            context.close()


def test_axe_finds_what_is_wrong_where_something_is(chromium: Browser) -> None:
    """The control."""
    page = chromium.new_page()
    page.set_content(
        "<!doctype html><html><body><div style='color:#999;background:#fff'>grey</div><img src='data:,'><input>"
        "<a href='#x' style='font-size:6px'>a</a><a href='#y' style='font-size:6px'>b</a></body></html>"
    )
    rules = {fault.partition(":")[0] for fault in found_by_axe(page)}
    assert {
        "color-contrast",
        "image-alt",
        "label",
        "html-has-lang",
        "document-title",
        "landmark-one-main",
    } <= rules
    page.close()


# Journeys


def tab_to(page: Page, locator: str, most: int = 90) -> None:
    """Tab until that element has the focus, as somebody without a mouse does; the focus can be seen on the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement?.matches(s) ?? false", locator):
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width != "0px" or "world" in locator, f"the focus on {locator} cannot be seen"
            return
    pytest.fail(f"the keyboard does not reach {locator}")


@pytest.mark.parametrize(
    ("lang", "size"),
    [
        ("en", (1280, 900)),
        ("zh", (360, 740)),
        pytest.param("zh", (1280, 900), marks=pytest.mark.prove),
        pytest.param("en", (360, 740), marks=pytest.mark.prove),
        pytest.param("en", (320, 640), marks=pytest.mark.prove),
    ],
)
def test_search_filter_record_difference_and_back_by_keyboard_alone(
    chromium: Browser, served: Served, lang: str, size: tuple[int, int]
) -> None:
    served.asked.clear()
    context = served.context(chromium, lang, viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    name = f"journey-{lang}-{size[0]}"
    page.goto(f"{served.base}/incidents")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "#q")
    page.keyboard.type({"en": "attacked", "zh": "攻击"}[lang])
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_contain_text(re.compile(r"\d"))
    keep(page, f"{name}-1-found", whole=False)
    tab_to(page, ".narrow a[href*='kind=denial-of-service']")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("kind=denial-of-service"))
    expect(page.locator(".chosen .pill")).to_have_count(1)
    keep(page, f"{name}-2-narrowed", whole=False)
    tab_to(page, ".card a[href='/incidents/an-attack']")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text({"en": "Health Kit", "zh": "健康宝"}[lang])
    expect(page.locator(".members-only").first).to_contain_text(
        {"en": "1 motive, 1 technique: for members", "zh": "1 项动机、1 项技术手段：仅会员可见"}[lang]
    )
    of_a_part = {"en": "1 for members", "zh": "另有 1 项仅会员可见"}[lang]
    expect(page.locator(".members-only", has_text=of_a_part).first).to_be_visible()
    keep(page, f"{name}-3-record")
    tab_to(page, "a[href*='difference?from=1']")
    page.keyboard.press("Enter")
    expect(page.locator("del")).to_have_count(3)
    old, new = (page.locator(f".sides .{side}").first.bounding_box() for side in ("old", "new"))
    assert old is not None
    assert new is not None
    assert (old["y"] == new["y"]) == (
        size[0] >= 768
    )  # side by side at a desk, one below the other on a phone
    keep(page, f"{name}-4-difference")
    tab_to(page, "main a.btn[href='/incidents/an-attack']")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.base}/incidents/an-attack")
    page.go_back()
    page.go_back()
    page.go_back()
    expect(page.locator("#q")).to_have_value({"en": "attacked", "zh": "攻击"}[lang])
    assert all(url.startswith(served.base) for url in served.asked), "somebody else was asked"
    context.close()


def test_the_language_is_kept_from_page_to_page(chromium: Browser, served: Served) -> None:
    context = served.context(chromium, "zh")
    page = context.new_page()
    page.goto(f"{served.base}/incidents?kind=overload")
    page.click(".tongue a[lang='en']")
    expect(page.locator("h1")).to_have_text("Incidents")
    expect(page.locator(".chosen .pill")).to_contain_text("Overload")
    page.click("nav a[href='/map']")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    context.close()


def test_a_square_of_the_map_leads_to_its_incidents(chromium: Browser, served: Served) -> None:
    context = served.context(chromium, "en")
    page = context.new_page()
    page.goto(f"{served.base}/map")
    told = page.locator(".wide-map a[href*='country=CN']").get_attribute("aria-label") or ""
    tab_to(page, ".wide-map a[href*='country=CN']")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text(told.rpartition(": ")[2])
    context.close()


def test_a_phone_opens_the_map_where_most_incidents_are(chromium: Browser, served: Served) -> None:
    context = served.context(chromium, "en", viewport={"width": 320, "height": 640})
    page = context.new_page()
    page.goto(f"{served.base}/map")
    first = page.locator(".parts a").first
    expect(page.locator(".parts svg").first.locator("a[href*='country=CN']")).to_be_visible()
    expect(page.locator(".wide-map")).to_be_hidden()
    place = first.bounding_box()
    assert place is not None
    assert place["y"] < 640
    assert place["width"] >= 24  # WCAG 2.5.8
    context.close()


def test_who_is_signed_out_while_writing_signs_in_and_reloads_and_it_is_saved(
    chromium: Browser, served: Served
) -> None:
    context = served.context(chromium, "en", role=Role.EDITOR)
    page = context.new_page()
    page.goto(f"{served.base}/members/new")
    page.fill("#f-id", "written-for-long")
    page.fill("#f-summary-en", "An afternoon's work")
    ours = [c for c in context.cookies() if c["name"] == "kangma"]
    context.clear_cookies(name="kangma")
    page.click("button:has-text('Save the draft')")
    expect(page.locator("main")).to_contain_text("reload this page: it is sent once more")
    keep(page, "signed-out-en-1280")
    context.add_cookies([{"name": "kangma", "value": ours[0]["value"], "url": served.base}])
    page.reload()
    expect(page.locator("h1")).to_have_text("written-for-long")
    expect(page.locator("main")).to_contain_text("An afternoon's work")
    context.close()


def test_an_editor_writes_and_a_conflict_loses_nothing(chromium: Browser, served: Served) -> None:
    context = served.context(chromium, "en", role=Role.EDITOR, axe=True)
    first, second = context.new_page(), context.new_page()
    for page in (first, second):
        page.goto(f"{served.base}/members")
        page.click("a[href='/members/work/in-work']")
        page.click("a[href$='/edit']")
    first.fill("#f-date", "2024-05")
    first.click("button:has-text('Save the draft')")
    expect(first.locator("h1")).to_have_text("in-work")
    second.fill("#f-summary-en", "Mine, and not lost")
    second.click("button:has-text('Save the draft')")
    expect(second.locator("[role=alert]")).to_contain_text("somebody saved after you began")
    expect(second.locator("#f-summary-en")).to_have_value("Mine, and not lost")
    expect(second.locator("ins").first).to_have_text("May 2024")
    assert found_by_axe(second) == []
    keep(second, "conflict-en-1280")
    second.fill("#f-date", "someday")
    second.click("button:has-text('Save the draft')")
    expect(second.locator("#f-date")).to_have_attribute("aria-invalid", "true")
    assert found_by_axe(second) == []
    keep(second, "faults-en-1280", whole=False)
    context.close()


# Room


@pytest.mark.parametrize("lang", [pytest.param("zh", marks=pytest.mark.prove), "en"])
def test_nothing_is_cut_off_at_320_pixels_even_with_letters_twice_as_large(
    chromium: Browser, served: Served, lang: str
) -> None:
    beyond: dict[str, Any] = {}
    for role, addresses in SHOWN:
        context = served.context(chromium, lang, role=role, viewport={"width": 320, "height": 640})
        page = context.new_page()
        for address in addresses:
            page.goto(served.base + address)
            once = page.evaluate(_BEYOND)
            page.evaluate("document.documentElement.style.fontSize = '212.5%'")
            if found := once or page.evaluate(_BEYOND):
                beyond[address] = found
        context.close()
    assert not beyond, "\n".join(f"{address}: {found}" for address, found in beyond.items())


#: What reaches beyond the window, but for what scrolls in a box of its own.
_BEYOND = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll > *'))
    .slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 40))"""


def test_a_picture_is_added_by_keyboard_alone(chromium: Browser, served: Served, tmp_path: Path) -> None:
    """Choosing the file is the browser's own window; everything else is reached and filled without a mouse."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(photograph())
    context = served.context(chromium, "en", role=Role.EDITOR)
    page = context.new_page()
    page.goto(f"{served.base}/members/work/in-work")
    tab_to(page, "a[href$='/picture']")
    page.keyboard.press("Enter")
    expect(page.locator("#file")).to_be_visible()
    tab_to(page, "#file")
    page.set_input_files("#file", file)
    for field, text in (("#alt-zh", "一张图"), ("#alt-en", "A chart")):
        tab_to(page, field)
        page.keyboard.type(text)
    tab_to(page, "#licence")
    page.keyboard.type("this")
    tab_to(page, "form[action$='/picture'] button")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("in-work")
    page.goto(f"{served.base}/members/work/in-work/picture")
    seen = page.locator(".picture img")
    expect(seen).to_have_attribute("alt", "A chart")
    assert seen.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [40, 60]
    page.click("text=Remove the picture")
    expect(page.locator("h1")).to_have_text("in-work")
    context.close()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_member_makes_and_closes_a_token_and_reads_their_news_by_keyboard_alone(
    chromium: Browser, served: Served, lang: str
) -> None:
    context = served.context(chromium, lang, role=Role.EDITOR, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(f"{served.base}/members")
    expect(page.locator("[role=alert]")).to_contain_text("ann")
    keep(page, f"news-{lang}-360", whole=False)
    tab_to(page, ".rooms a[href='/members/account']")
    page.keyboard.press("Enter")
    expect(page.locator("#scope-read")).to_be_visible()
    tab_to(page, "#scope-read")
    page.keyboard.press("Space")
    tab_to(page, "form[action$='/tokens'] button")
    page.keyboard.press("Enter")
    expect(page.locator(".secret")).to_contain_text("kmi_")
    keep(page, f"token-{lang}-360")
    tab_to(page, "form[action$='/tokens/close'] button")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#tokens$"))
    expect(page.locator(".secret")).to_have_count(0)
    context.close()


def test_a_first_visit_fits_in_60_kilobytes(chromium: Browser, served: Served) -> None:
    import gzip  # noqa: PLC0415

    client = served.at.client()
    for address in ("/incidents", f"/incidents/{FOUNDING}"):
        page = client.get(address)
        style = client.get("/shipped/look.css")
        assert len(gzip.compress(page.content)) + len(gzip.compress(style.content)) < 60_000


@pytest.mark.prove
def test_every_page_was_seen(chromium: Browser, served: Served) -> None:
    """Pictures of everything, to be looked at by a person: build/pages."""
    for lang, size, scheme in (("zh", (1280, 900), "light"), ("en", (360, 740), "dark")):
        for role, addresses in SHOWN:
            context = served.context(
                chromium, lang, role=role, color_scheme=scheme, viewport={"width": size[0], "height": size[1]}
            )
            page = context.new_page()
            for address in addresses:
                page.goto(served.base + address)
                keep(page, f"{name_of(address)}{f'-{role}' if role else ''}-{lang}-{size[0]}-{scheme}")
            context.close()
    context = served.context(chromium, "en", viewport={"width": 794, "height": 1123})
    page = context.new_page()
    page.emulate_media(media="print")
    for address in (f"/incidents/{FOUNDING}", "/incidents/an-attack"):
        page.goto(served.base + address)
        assert not page.locator(".top nav").is_visible()
        assert page.locator(".only-print").is_visible()
        keep(page, f"{name_of(address)}-print")
    context.close()
