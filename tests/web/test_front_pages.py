"""The pages in a real browser, against what a server at work cannot be asked for: other roots, broken lists, answers that
are lost, tokens that ended, an attack. What people do, and how it looks, is in tests/journeys/test_real_city.py.

The server is front_stub.py: a real city's public folder, real codes and credentials. What was seen is in build/pages.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from chromium import ALONE, browser
from front_stub import CODE, HERE, PLACE, VENUE, VENUE_KEY, Person, Serving, Town, serving, town
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from web_built import DIST, ROOT, built

from kangma.credential.claims import Kind
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import Colour, Verified
from kangma.credential.venue_code import code_at, key_text, minute_of
from kangma.credential.verify import Verifier
from kangma.gateway.front.defence.work import Work
from kangma.publish.release import read_table
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.rotation import recognise
from kangma.signing.trust import Root, Use, decode_root, encode_root, open_trust, sign_trust
from kangma.store.elsewhere import mirror
from kangma.store.keyfiles import read_key_file
from kangma.store.public_reader import OnDisk
from kangma.store.releases import last_release
from kangma.store.signing import install, make_signing, open_signing
from kangma.store.state import open_state
from kangma.terms import DAY, Text
from kangma.translog import tiles
from kangma.translog.checkpoint import Checkpoint, sign_checkpoint
from kangma.translog.log import Log

SEEN = ROOT / "build" / "pages"
SHIPPED = ROOT / "src" / "kangma" / "gateway" / "front" / "pages"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
expect.set_options(timeout=20_000)
WORD = {"green": "绿码", "notice": "绿码 · 有提示", "yellow": "黄码", "red": "红码"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def city() -> Town:
    built("pages/index.html")
    return town()


@pytest.fixture(scope="module")
def shared(city: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A front door for tests that leave it as it was."""
    with serving(city.copied(tmp_path_factory.mktemp("shared") / "state"), city) as at:
        yield at


@pytest.fixture
def alone(city: Town, tmp_path: Path) -> Iterator[Serving]:
    """One for a test that stops it, or turns its wheel."""
    with serving(city.copied(tmp_path / "state"), city) as at:
        yield at


class Eyes:
    """What pages did that they should not: requests elsewhere, errors, what their policy stopped."""

    def __init__(self, base: str) -> None:
        self.base, self.wrong = base, list[str]()

    def on(self, page: Page) -> Page:
        page.on("request", lambda r: self.wrong.append(r.url) if not self.ours(r.url) else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda m: self.wrong.append(m.text) if "Content Security" in m.text else None)
        return page

    def ours(self, url: str) -> bool:
        return url.startswith((self.base, "blob:", "data:"))


Open = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Opens an address at a moment, in a browser of its own; nothing it did may be wrong."""
    contexts: list[tuple[BrowserContext, Eyes]] = []

    def open_(at: Serving, path: str, *, now: int | None = None, lang: str = "zh-CN", **given: Any) -> Page:
        context = chromium.new_context(locale=lang, **{"viewport": PHONE, **given})
        context.set_default_timeout(30_000)  # others may be using the machine
        eyes = Eyes(at.base)
        contexts.append((context, eyes))
        page = eyes.on(context.new_page())
        page.clock.set_fixed_time(at.front.now if now is None else now)
        page.goto(at.base + path)
        return page

    yield open_
    for context, eyes in contexts:
        context.close()
        assert eyes.wrong == []


def bind(page: Page, person: Person) -> None:
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    page.fill("#code", CODE)
    page.click("form .button")
    page.locator("#state").wait_for()


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    SEEN.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SEEN / f"{name}.png", full_page=whole)


def in_the_qr(page: Page) -> str:
    """What a stranger's reader reads from the screen."""
    page.locator("#qr svg").wait_for()
    # Of the whole page: the picture is drawn anew each half minute, and would be gone while it is waited for.
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot(full_page=True))))
    return found.text


def at_a_door(text: str, public: Path, now: int) -> Any:
    verifier = Verifier(decode_root((public / "root").read_bytes()), MarksInMemory())
    trust = (public / "trust").read_bytes()
    verifier.take_trust(trust)
    base = open_trust(trust).unverified().publisher.base
    for file in (public / "status").rglob("*"):
        if file.is_file() and file.suffix != ".delta":
            verifier.take_list(f"{base}/{file.relative_to(public)}", file.read_bytes())
    return verifier.verify(text, now=now)


def paper(at: Serving, person: Person) -> str:
    """Somebody's code on paper that the lists know."""
    text = at.front.paper(person)["text"]
    at.front.cycle()
    return text


def ready(page: Page) -> None:
    """The worker holds the page."""
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")


# the resident ---------------------------------------------------------------------------------------------------------


def test_under_attack_the_page_works_beside_itself_says_so_and_binds(alone: Serving, opened: Open) -> None:
    """Nothing to solve for a person; and the page is not held up: its script goes on while the worker counts."""
    page = opened(alone, "/", lang="en-GB")
    alone.front.work = Work(bytes(32))
    person = alone.front.town.people["green"]
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.evaluate(
        "() => { window.said = [];"
        " new MutationObserver(() => window.said.push(document.querySelector('.said')?.textContent)).observe("
        "document.querySelector('main'), { subtree: true, childList: true, characterData: true }); }"
    )
    page.click("form .button")
    page.fill("#code", CODE)
    page.click("form .button")
    page.locator("#state").wait_for()
    assert any("under attack" in (text or "") for text in page.evaluate("() => window.said"))
    assert [path for method, path in alone.front.asked if method == "POST"][:2] == ["/v1/bindings"] * 2
    alone.front.work = None


def test_a_wrong_code_and_a_wrong_name_say_no_more_than_that(shared: Serving, opened: Open) -> None:
    page = opened(shared, "/", lang="en-GB")
    person = shared.front.town.people["green"]
    page.fill("#number", person.id_number)
    page.fill("#name", "Nobody of that name")
    page.click("form .button")
    expect(page.locator(".intro")).to_contain_text("If document and name agree")
    page.fill("#code", CODE)
    page.click("form .button")
    expect(page.locator("#code-wrong")).to_contain_text("not the code")
    expect(page.locator("#code")).to_be_focused()


def test_what_the_phone_shows_is_what_a_door_believes(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/")
    bind(page, alone.front.town.people["yellow"])
    page.click("text=出示我的码")
    alone.front.cycle()
    page.clock.set_fixed_time(alone.front.now)
    page.wait_for_timeout(1_500)
    text = in_the_qr(page)
    found = at_a_door(text, alone.front.public, alone.front.now)
    assert isinstance(found, Verified)
    assert (found.colour, found.kind) == (Colour.YELLOW, Kind.PHONE)
    # A picture of it dies within a minute; the phone has a new one every half minute.
    later = alone.front.now + 60
    assert not isinstance(at_a_door(text, alone.front.public, later), Verified)
    page.clock.set_fixed_time(later)
    page.wait_for_timeout(1_500)
    assert in_the_qr(page) != text
    assert isinstance(at_a_door(in_the_qr(page), alone.front.public, later), Verified)


def test_the_keys_cannot_be_taken_out(shared: Serving, opened: Open) -> None:
    page = opened(shared, "/")
    bind(page, shared.front.town.people["green"])
    in_the_qr(page)
    found = page.evaluate(
        """async () => {
            const open = indexedDB.open("kangma resident");
            await new Promise(done => { open.onsuccess = done; });
            const kept = open.result.transaction("kept").objectStore("kept");
            const get = key => new Promise(done => { const r = kept.get(key); r.onsuccess = () => done(r.result); });
            const [device, mine] = [await get("key"), await get("credentials ")];
            return [device.privateKey, ...mine.map(one => one.holder)].map(key => [key.type, key.extractable]);
        }"""
    )
    assert found == [["private", False]] * 4
    lies_open = json.loads(page.evaluate("() => JSON.stringify({...localStorage})"))
    assert all(
        re.fullmatch(r"kangma mark [0-9a-f]{64} trust", name) for name in lies_open
    )  # of which city, how new
    assert all(value.isdecimal() for value in lies_open.values())


def test_a_token_that_ended_is_renewed_by_the_devices_key(shared: Serving, opened: Open) -> None:
    page = opened(shared, "/")
    bind(page, shared.front.town.people["green"])
    in_the_qr(page)
    shared.front.tokens.clear()
    shared.front.asked.clear()
    page.reload()
    expect(page.locator("#age")).to_contain_text("刚刚更新")
    page.wait_for_timeout(500)
    assert shared.front.asked.count(("POST", "/v1/tokens")) == 1
    assert page.locator("text=已解除绑定").count() == 0


def test_a_device_that_was_ended_says_so_and_keeps_the_last_state(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/")
    bind(page, alone.front.town.people["green"])
    in_the_qr(page)
    alone.front.residents.clear()
    page.reload()
    page.locator("text=这台设备已解除绑定").wait_for()
    assert page.inner_text("#state h1") == "绿码"
    page.click("main .card .button")
    page.locator("#number").wait_for()


def test_a_server_that_says_not_now_is_not_asked_again_at_once(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/")
    bind(page, alone.front.town.people["green"])
    in_the_qr(page)
    alone.front.lost = lambda path: path.startswith("/v1/")
    alone.front.asked.clear()
    page.reload()
    page.locator("#state").wait_for()
    page.wait_for_timeout(3_000)
    assert alone.front.asked.count(("GET", "/v1/me/code")) == 1
    assert page.inner_text("#state h1") == "绿码"


def test_the_first_answer_is_waited_for_and_shown_though_credentials_do_not_come(
    alone: Serving, opened: Open
) -> None:
    """As at the morning peak: answers are late, and what takes signatures is refused first."""
    page = opened(alone, "/")
    alone.front.lost = lambda path: path.startswith("/v1/me")
    person = alone.front.town.people["yellow"]
    page.fill("#number", person.id_number)
    page.fill("#name", person.name)
    page.click("form .button")
    page.fill("#code", CODE)
    page.click("form .button")
    expect(page.locator("main")).to_contain_text("正在取…")
    alone.front.lost = lambda path: path.endswith("/credentials")
    page.clock.set_fixed_time(alone.front.now + 6)
    expect(page.locator("#state h1")).to_have_text("黄码")


# at a door, and against a hold ---------------------------------------------------------------------------------------


def test_a_phone_scans_a_door_without_a_network_and_hands_it_in_later(alone: Serving, opened: Open) -> None:
    """Both sides by themselves: the door draws its code, and the phone keeps what it scanned."""
    door = opened(alone, f"/venue#{key_text(VENUE, VENUE_KEY)}", viewport=DESK)
    expect(door.locator("#place")).to_have_text(PLACE)
    assert door.url == f"{alone.base}/venue"  # the key is not in the history
    phone = opened(alone, "/")
    bind(phone, alone.front.town.people["green"])
    came = in_the_qr(door)
    assert came.startswith(f"{alone.base}/#in.{VENUE}.")
    phone.goto(came)
    expect(phone.locator("#yes")).to_be_visible()  # an address is asked about before anything is registered
    assert alone.front.came == []
    phone.click("#yes")
    expect(phone.locator(".entered")).to_contain_text("请通行")
    alone.front.now += 3
    door.clock.set_fixed_time(alone.front.now)
    expect(door.locator("#result")).to_contain_text("请通行")
    keep(door, "venue-pass-zh")
    keep(phone, "scan-in-zh", whole=True)
    alone.front.lost = lambda path: path.startswith("/v1/")
    for page in (door, phone):
        page.clock.set_fixed_time(alone.front.now + 900)
    expect(door.locator("#ready")).to_have_text("未联网，照常可用")
    digits = code_at(VENUE_KEY, minute_of(alone.front.now + 900))
    expect(door.locator("#digits")).to_have_text(f"{digits[:4]}\xa0{digits[4:]}")
    phone.locator("summary", has_text="输入号码").click()
    phone.fill("#venue", VENUE)
    phone.fill("#digits", door.inner_text("#digits"))
    phone.click("details form .button")
    phone.click("#yes")
    expect(phone.locator(".entered")).to_contain_text("已存在本机")
    expect(phone.locator("#door")).to_contain_text("1 条记录在本机等候补交")
    keep(phone, "scan-kept-zh", whole=True)
    phone.reload()  # it outlives the page
    alone.front.lost = lambda path: False
    alone.front.now += 3_600
    phone.clock.set_fixed_time(alone.front.now)
    phone.evaluate("dispatchEvent(new Event('online'))")
    expect(phone.locator("#door")).not_to_contain_text("等候补交")
    assert [path for _, path in alone.front.asked if path == "/v1/me/visits"][-1:] == ["/v1/me/visits"]


@contextmanager
def before_a_door(alone: Serving, chromium: Browser, door: Page, folder: Path) -> Iterator[Page]:
    """A resident's page whose camera looks at the code of this door's page."""
    in_the_qr(door)
    switches = in_front_of_the_camera(door.locator("#qr").screenshot(), folder / "camera.y4m")
    started = chromium.browser_type.launch(executable_path=shutil.which("chromium"), args=[*ALONE, *switches])
    with closing(started):
        context = started.new_context(locale="en-GB", viewport=PHONE)
        page = context.new_page()
        page.clock.set_fixed_time(alone.front.now)
        page.goto(alone.base)
        bind(page, alone.front.town.people["green"])
        page.click("#tabs a[href='#scan']")
        page.click(".camera .button")
        yield page


@pytest.mark.prove
def test_a_camera_reads_the_doors_code_once_and_asks_when_it_sees_it_again(
    alone: Serving, chromium: Browser, opened: Open, tmp_path: Path
) -> None:
    door = opened(alone, f"/venue#{key_text(VENUE, VENUE_KEY)}")
    with before_a_door(alone, chromium, door, tmp_path) as page:
        expect(page.locator(".entered")).to_contain_text("Please come in")
        page.wait_for_timeout(6_000)  # it is still before the camera: nothing happens by itself
        expect(page.locator(".entered")).to_contain_text("Please come in")
        expect(page.locator("#yes")).to_have_count(0)
        page.clock.set_fixed_time(alone.front.now + 60)  # the phone was put away for a minute
        expect(page.locator("#yes")).to_have_text("I am leaving")
        assert [path for _, path in alone.front.asked].count("/v1/me/visits") == 1


@pytest.mark.prove
def test_a_doors_code_of_another_city_is_told_apart(
    alone: Serving, chromium: Browser, opened: Open, tmp_path: Path
) -> None:
    with serving(alone.front.state, alone.front.town) as neighbour:
        door = opened(neighbour, f"/venue#{key_text(VENUE, VENUE_KEY)}")
        with before_a_door(alone, chromium, door, tmp_path) as page:
            expect(page.locator("#door")).to_contain_text("This is no door of this city")
            assert "/v1/me/visits" not in [path for _, path in alone.front.asked]


def test_an_appeal_is_sent_and_its_state_stays_below_the_hold(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/", lang="en-GB")
    bind(page, alone.front.town.people["yellow"])
    hold = page.locator("article").first
    hold.locator(".object").click()
    hold.locator("select").select_option("not_there")
    hold.locator("textarea").fill("<img src=x onerror=alert(1)>")
    hold.locator("form .button").click()
    appeal = page.locator("article").first.locator(".appeal")
    expect(appeal).to_contain_text("Waiting for an answer")
    expect(appeal).to_contain_text("<img src=x")  # text is text
    expect(appeal).to_contain_text("Answered by")
    keep(page, "appeal-open-en", whole=True)
    alone.front.appeals[0] |= {"state": "granted", "answer": "No link was found.", "follows": "clearance"}
    page.reload()
    expect(page.locator("article").first.locator(".appeal")).to_contain_text("No link was found.")
    keep(page, "appeal-granted-en", whole=True)


# the door -------------------------------------------------------------------------------------------------------------


def checked(page: Page, text: str) -> str:
    """What the door says of a text that somebody typed."""
    if page.locator("#hand[open]").count() == 0:
        page.click("#hand summary")
    page.fill("#text", text)
    page.click("#form .button")
    page.locator("#next").wait_for()
    return page.inner_text("#head")


def updated(page: Page) -> None:
    expect(page.locator("#ready")).to_have_text(re.compile("已更新|Up to date"))


def test_the_verdict_is_said_in_words_shape_and_colour_and_fills_a_third(
    alone: Serving, opened: Open
) -> None:
    texts = {colour: alone.front.paper(person)["text"] for colour, person in alone.front.town.people.items()}
    alone.front.cycle()
    page = opened(alone, "/scan")
    updated(page)
    page.evaluate("() => { window.felt = []; navigator.vibrate = how => window.felt.push(how) }")
    heads = {"green": "请通行", "notice": "请稍候", "yellow": "请稍候", "red": "请稍候"}
    for colour, text in texts.items():
        assert checked(page, text) == heads[colour]
        assert colour in (page.get_attribute("#verdict", "class") or "").split()
        assert page.inner_text("#line") == WORD[colour]
        assert "请核对身份证" in page.inner_text("#why")
        assert "急救、回家、做核酸、取药" in page.inner_text("#never")
        box = page.locator("#verdict").bounding_box()
        assert box is not None
        assert box["height"] >= PHONE["height"] / 3
        keep(page, f"scan-{colour}-zh")
    assert checked(page, texts["green"][:-3] + "AAA") == "未能核验"
    assert "refused" in (page.get_attribute("#verdict", "class") or "").split()
    assert checked(page, "https://example.com") == "未能核验"
    keep(page, "scan-refused-zh")
    felt = [json.dumps(how) for how in page.evaluate("() => window.felt")]
    passed, waits, unknown = felt[heads_at(texts, "green")], felt[heads_at(texts, "red")], felt[-1]
    assert len({passed, waits, unknown}) == 3
    # Nobody who stands by can tell yellow from red.
    assert felt[heads_at(texts, "yellow")] == waits


def heads_at(texts: dict[str, str], colour: str) -> int:
    return list(texts).index(colour)


def in_front_of_the_camera(picture: bytes, file: Path) -> list[str]:
    """Switches for a Chromium whose camera sees that picture, a little turned and off the middle."""
    frame = Image.new("L", (640, 480), 140)
    seen = Image.open(io.BytesIO(picture)).convert("L").resize((420, 420), Image.Resampling.BICUBIC)
    frame.paste(seen, (120, 25))
    frame = frame.rotate(4, Image.Resampling.BICUBIC, fillcolor=140)
    grey = bytes([128]) * (320 * 240 * 2)
    frames = (b"FRAME\n" + frame.tobytes() + grey) * 4
    file.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + frames)
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    ]


def test_a_picture_is_read_as_well(alone: Serving, opened: Open, tmp_path: Path) -> None:
    made = alone.front.paper(alone.front.town.people["green"])
    alone.front.cycle()
    page = opened(alone, "/scan")
    updated(page)
    (tmp_path / "paper.png").write_bytes(base64.b64decode(made["png"]))
    page.click("#hand summary")
    page.set_input_files("#picture", tmp_path / "paper.png")
    expect(page.locator("#head")).to_have_text("请通行")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "nothing.png")
    page.set_input_files("#picture", tmp_path / "nothing.png")
    expect(page.locator("#unread")).to_contain_text("没有认出码")


def test_no_scan_ever_causes_a_request(alone: Serving, opened: Open) -> None:
    text = paper(alone, alone.front.town.people["green"])
    page = opened(alone, "/scan")
    updated(page)
    ready(page)  # what the service worker fetches, it has
    alone.front.asked.clear()
    for one in (text, text.replace("KM1:", "KM2:"), "KM1:AAAA", "http://127.0.0.1:1/x"):
        checked(page, one)
    assert alone.front.asked == []


def test_lists_are_brought_up_to_date_by_deltas_and_survive_a_restart(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/scan")
    updated(page)
    text = paper(alone, alone.front.town.people["green"])
    alone.front.asked.clear()
    for colour in ("notice", "yellow", "red"):
        with LocalSigner(alone.front.state) as signer:  # somebody lost a phone
            signer.withdraw(alone.front.town.people[colour].number, now=alone.front.now)
        alone.front.cycle(60)
        page.clock.set_fixed_time(alone.front.now)
        page.wait_for_timeout(2_500)  # by its own schedule
        updated(page)
    today = f"/public/status/{HERE.day(alone.front.now)}/0"
    asked = [path for _, path in alone.front.asked]
    assert asked.count("/public/latest.json") == 3
    assert asked.count(f"{today}.delta") == 3, asked
    assert asked.count(today) <= 1, asked  # where it had missed the release between
    assert checked(page, text) == "请通行"
    ready(page)
    alone.stop()
    page.reload()
    expect(page.locator("#ready")).to_have_text("断网可用")
    assert checked(page, text) == "请通行"


def test_lists_that_are_old_are_called_old_and_the_last_state_is_no_verdict(
    alone: Serving, opened: Open
) -> None:
    text = paper(alone, alone.front.town.people["green"])
    page = opened(alone, "/scan", lang="en-GB")
    updated(page)
    ready(page)
    alone.stop()
    page.clock.set_fixed_time(alone.front.now + 30 * 3_600)
    page.reload()
    assert checked(page, text) == "Not verified"
    assert page.inner_text("#line") == "Last known: Green"
    assert "stale" in (page.get_attribute("#verdict", "class") or "")
    assert page.inner_text("#age") == "30 hours ago"
    keep(page, "scan-stale-en")
    page.clock.set_fixed_time(alone.front.now + 8 * DAY)
    assert checked(page, text) == "Not verified"
    expect(page.locator("#why")).to_contain_text("has ended")


def test_a_traveller_from_the_city_next_door(alone: Serving, opened: Open, tmp_path: Path) -> None:
    """The door is of a city that recognises the town: the town's lists come by `kangma mirror`, and by nothing else."""
    ours, town = tmp_path / "ours", open_signing(alone.front.state)
    ours.mkdir(mode=0o700)
    names = {"authority_id": "cn-xx", "name": Text("样本市", "Sample City"), "base": "https://xx.example"}
    rest = {"origin": "xx.example/log", "environment": Environment.DEVELOPMENT, "zone": "Asia/Shanghai"}
    made = make_signing(ours, **names, **rest, now=alone.front.now - DAY)  # type: ignore[arg-type]  # two of them as dicts
    officers = [read_key_file(ours / f"root/root-{n}.pem") for n in (1, 2)]
    install(
        ours,
        sign_trust(recognise(made.trust, town.trust.publisher, alone.front.now), officers),
        now=alone.front.now,
    )
    own = {"release": 1, "at": alone.front.now, "lists": {}, "log": {"size": 0, "root": ""}}
    (ours / "public/latest.json").write_text(json.dumps(own))

    def mirrored() -> None:
        mirror(ours, town.trust.publisher.id, OnDisk(alone.front.public), now=alone.front.now)
        there = [f for f in (ours / "public").rglob("*") if f.is_file()]
        alone.front.files |= {f.relative_to(ours / "public").as_posix(): f.read_bytes() for f in there}

    person = alone.front.town.people["green"]
    other = alone.front.paper(alone.front.town.people["notice"])["text"]
    text = paper(alone, person)
    mirrored()
    page = opened(alone, "/scan", lang="en-GB")
    page.click("#lists summary")
    expect(page.locator("#elsewhere li")).to_contain_text("Demo City: ")
    expect(page.locator("#elsewhere li")).to_contain_text("status lists, signed")
    assert checked(page, text) == "Please pass"
    assert page.inner_text("#issuer") == "Demo City"
    keep(page, "scan-traveller-en", whole=True)
    with LocalSigner(alone.front.state) as signer:
        signer.withdraw(person.number, now=alone.front.now)
    alone.front.cycle(60)
    mirrored()
    page.clock.set_fixed_time(alone.front.now)
    page.click("#update")
    expect(page.locator("#elsewhere li")).to_contain_text(HERE.iso(alone.front.now)[11:16])
    assert checked(page, text) == "Not verified"
    assert page.locator("#issuer").count() == 0  # a code that proves nothing is nobody's
    ready(page)
    alone.stop()
    page.clock.set_fixed_time(alone.front.now + 30 * 3_600)
    page.reload()
    assert checked(page, other) == "Not verified"
    assert page.inner_text("#line").startswith("Last known: ")
    assert (page.inner_text("#issuer"), page.inner_text("#age")) == ("Demo City", "30 hours ago")
    page.click("#lists summary")
    assert "old" in (page.locator("#elsewhere li").get_attribute("class") or "")


def another_root(at: Serving) -> bytes:
    keys = [KeySigner(Algorithm.ES256, bytes([n]) * 32, Environment.DEVELOPMENT).public for n in (1, 2, 3)]
    return encode_root(Root(Environment.DEVELOPMENT, 2, tuple(keys)))


def test_another_root_is_refused_loudly_and_the_pinned_one_stays(alone: Serving, opened: Open) -> None:
    text = paper(alone, alone.front.town.people["green"])
    page = opened(alone, "/scan")
    updated(page)
    page.click("#lists summary")
    pinned = decode_root((alone.front.public / "root").read_bytes()).fingerprint
    shown = page.inner_text("#fingerprint").replace("\n", "").replace(" ", "")
    assert shown == (pinned if isinstance(pinned, str) else pinned.hex())
    alone.front.files["root"] = another_root(alone)
    page.reload()
    expect(page.locator("#alarm h2")).to_have_text("服务器的根变了，没有采用")
    assert checked(page, text) == "请通行"  # by the root and the lists that are here
    keep(page, "scan-other-root-zh", whole=True)
    assert page.locator("#use").is_disabled()
    page.check("#sure")
    page.click("#use")
    expect(page.locator("#alarm")).to_be_hidden()
    assert checked_text(page, text) == "先取一次名单"  # that root stands behind nothing here


def checked_text(page: Page, text: str) -> str:
    page.fill("#text", text)
    page.click("#form .button")
    page.wait_for_timeout(300)
    return page.inner_text("#head")


def test_a_list_that_somebody_changed_is_not_believed(alone: Serving, opened: Open) -> None:
    text = paper(alone, alone.front.town.people["red"])
    latest = json.loads((alone.front.public / "latest.json").read_text())
    for path in latest["lists"]:
        content = bytearray((alone.front.public / path).read_bytes())
        content[-1] ^= 1
        alone.front.files[path] = bytes(content)
    page = opened(alone, "/scan")
    expect(page.locator("#held")).to_contain_text("没有采用")
    assert page.inner_text("#head") == "先取一次名单"
    page.click("#hand summary")
    assert checked_text(page, text) == "未能核验"


# in the open ----------------------------------------------------------------------------------------------------------


def audited(page: Page) -> list[str]:
    """What the page says that it checked, each with its mark."""
    page.locator("#checks li").first.wait_for()
    return [one.inner_text()[0] for one in page.locator("#checks b").all()]


def test_a_stranger_counts_and_checks_everything_on_their_own_device(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/open", lang="en-GB")
    expect(page.locator("#checks")).to_contain_text("The pointer to the last release")
    assert audited(page) == ["✓"] * 5 + ["–"]  # what it saw before: nothing
    expect(page.locator("#unread")).to_have_count(0)
    last = json.loads((alone.front.public / "latest.json").read_text())
    main = page.inner_text("main")
    assert f"Release\n{last['release']}" in main
    assert last["log"]["root"] == "".join(page.inner_text("main .fingerprint >> nth=0").split())
    with open_state(alone.front.state) as state:
        out = read_table(state, last_release(state.registry), "out")["state"].to_pylist()
        persons = state.person_count()
    worse = {"Green, with a notice": out.count(2), "Yellow": out.count(3), "Red": out.count(4)}
    counts = {"Green": persons - sum(worse.values())} | worse
    table = [row.inner_text().split("\t") for row in page.locator("table").first.locator("tbody tr").all()]
    assert {row[0].strip(): int(row[2].strip()) for row in table} == counts
    with page.expect_download() as taken:
        page.locator("text=Download CSV").first.click()
    assert f",green,{counts['Green']}" in Path(taken.value.path()).read_text("utf-8")
    files = page.locator(".policy a").all()
    assert len(files) == 2
    for file in files:
        assert (alone.front.public / (file.get_attribute("href") or "").removeprefix("/public/")).is_file()


@pytest.mark.parametrize(("name", "wrong"), [("checkpoint", 2), ("entry", 3), ("latest.json", 4)])
def test_what_somebody_changed_is_called_wrong(name: str, wrong: int, alone: Serving, opened: Open) -> None:
    public = alone.front.public
    if name == "checkpoint":  # another root, under the signature of the true one
        lines = (public / name).read_text().split("\n")
        lines[2] = base64.b64encode(bytes(32)).decode()
        alone.front.files[name] = "\n".join(lines).encode()
    elif name == "latest.json":
        said = json.loads((public / name).read_text())
        alone.front.files[name] = json.dumps(said | {"log": {"size": 1, "root": "00"}}).encode()
    else:
        size = json.loads((public / "latest.json").read_text())["log"]["size"]
        path = f"tile/entries/000.p/{size}"
        content = bytearray((public / path).read_bytes())
        at = content.index(b"\x00\x21\x01")  # somebody's turn
        content[at + 10] ^= 1
        alone.front.files[path] = bytes(content)
    page = opened(alone, "/open")
    expect(page.locator("#checks")).to_contain_text("✕")
    assert audited(page)[wrong] == "✕"


class LargeLog:
    """The city's own log, with turns put in before its last release, which then comes again and again: as a city of
    millions has it."""

    def __init__(self, at: Serving) -> None:
        public = at.front.public
        self.at = at
        said = json.loads((public / "latest.json").read_text())["log"]
        read = OnDisk(public).read
        old = tiles.entries_of(lambda path: read(path, 2**24) or b"", 0, said["size"], said["size"])
        self.first, self.last = old[:-1], old[-1]
        self.key = open_signing(at.front.state).signer(Use.LOG, at.front.now)
        self.origin = open_signing(at.front.state).trust.publisher.origin

    def publish(self, *turns: int, otherwise: int = -1) -> dict[str, bytes]:
        """With so many turns of nobody before each release, of which one may be another than it was."""
        leaves = list(self.first)
        for stretch in turns:
            leaves += [turn(n if n != otherwise else 10**6) for n in range(stretch)]
            leaves.append(self.last)
        log, files = Log.EMPTY.append(leaves)
        files["checkpoint"] = sign_checkpoint(Checkpoint(self.origin, log.size, log.root), self.key)
        said = json.loads((self.at.front.public / "latest.json").read_text())
        said["log"] = {"size": log.size, "root": log.root.hex()}
        files["latest.json"] = json.dumps(said).encode()
        self.at.front.files = files
        return files


def turn(number: int) -> bytes:
    return b"\x01" + hashlib.sha256(b"turn %d" % number).digest()


def test_the_log_of_a_large_city_is_checked_too_and_what_is_not_is_said(alone: Serving, opened: Open) -> None:
    large = LargeLog(alone)
    large.publish(70_000)
    page = opened(alone, "/open", lang="en-GB")
    expect(page.locator("#checks")).to_contain_text("first seen here, and remembered")
    assert audited(page) == ["✓"] * 5 + ["–"]
    expect(page.locator("#unread")).to_contain_text("Not checked in the browser")
    expect(page.locator("#unread code")).to_have_text(f"kangma audit --public {alone.base}/public")
    asked = [path for _, path in alone.front.asked if path.startswith("/public/tile/")]
    assert len(asked) < 20, asked
    assert sum(len(alone.front.files[path.removeprefix("/public/")]) for path in asked) < 150_000
    keep(page, "open-large-en", whole=True)
    large.publish(70_000, 10_000)
    page.reload()
    expect(page.locator("#checks")).to_contain_text("with the 70,")
    assert audited(page) == ["✓"] * 6
    page.click("#language")
    expect(page.locator("#unread")).to_contain_text("没有在浏览器里核查")
    keep(page, "open-large-zh", whole=True)
    large.publish(70_000, 10_000, 500, otherwise=5)  # what it saw has another turn in it now
    page.reload()
    expect(page.locator("#checks")).to_contain_text("✕")
    assert audited(page) == ["✓"] * 5 + ["✕"]
    page.reload()  # and that is not forgotten by looking again
    expect(page.locator("#checks")).to_contain_text("✕")


def test_a_hash_that_is_bent_in_a_large_log_is_called_wrong(alone: Serving, opened: Open) -> None:
    files = LargeLog(alone).publish(70_000)
    edge = next(path for path in files if path.startswith("tile/1/001"))
    files[edge] = bytes([files[edge][0] ^ 1]) + files[edge][1:]
    page = opened(alone, "/open")
    expect(page.locator("#checks")).to_contain_text("✕")
    assert audited(page)[3] == "✕"


def test_a_release_at_midnight_counts_for_the_day_that_it_ends_as_in_the_report(
    alone: Serving, city: Town, opened: Open
) -> None:
    page = opened(alone, "/open", lang="en-GB")
    page.locator("table").nth(1).wait_for()
    table = page.locator("table").nth(1)
    shown = {}
    for row in table.locator("tbody tr").all():
        day, _, turned, _ = (cell.inner_text().strip() for cell in row.locator("th, td").all())
        shown[re.sub("[^A-Za-z0-9]+", " ", day)] = int(turned.replace(",", ""))
    report = (city.state.parent / "report.html").read_text("utf-8")
    lines = re.findall(r"<tr><th>(\d{4}-\d\d-\d\d)</th>(?:<td>[\d,]+</td>)*<td>([\d,]+)</td></tr>", report)
    told = {}
    for day, turned in lines:
        told.setdefault(f"{date.fromisoformat(day):%a %-d %b}", int(turned.replace(",", "")))
    assert len(told) == 8
    assert shown == told


def test_another_root_says_nothing_in_the_open_either(alone: Serving, opened: Open) -> None:
    page = opened(alone, "/open")
    page.locator("#checks li").first.wait_for()
    ready(page)
    alone.front.files["root"] = another_root(alone)
    page.reload()
    expect(page.locator(".warn")).to_contain_text("没有采用")
    alone.stop()
    page.reload()
    expect(page.locator("main")).to_contain_text("联系不上服务器")


# all of them ----------------------------------------------------------------------------------------------------------

PAGES = ("/", "/scan", "/open", "/venue")


@pytest.fixture(scope="module")
def shown(shared: Serving) -> Serving:
    """The shared front door, with two codes on paper to scan."""
    for colour in ("green", "yellow"):
        text = shared.front.paper(shared.front.town.people[colour])["text"]
        shared.front.files[f"text {colour}"] = text.encode()
    shared.front.cycle()
    return shared


def tab_to(page: Page, locator: str, most: int = 60) -> None:
    """Tab until that element has the focus; the focus can be seen on the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement?.matches(s) ?? false", locator):
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width != "0px", f"the focus on {locator} cannot be seen"
            return
    pytest.fail(f"the keyboard does not reach {locator}")


def test_binding_showing_and_checking_by_keyboard_alone(shown: Serving, opened: Open) -> None:
    person = shown.front.town.people["yellow"]
    page = opened(shown, "/", lang="en-GB")
    tab_to(page, "#number")
    page.keyboard.type(person.id_number)
    tab_to(page, "#name")
    page.keyboard.type(person.name)
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.type(CODE)
    page.keyboard.press("Enter")
    expect(page.locator("#state h1")).to_have_text("Yellow")
    tab_to(page, "button[aria-controls='code-card']")
    page.keyboard.press("Enter")
    in_the_qr(page)
    tab_to(page, "#tabs a[href='#looks']")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Who looked")
    page.goto(f"{shown.base}/scan")
    updated(page)
    tab_to(page, "#hand summary")
    page.keyboard.press("Enter")
    tab_to(page, "#text")
    page.keyboard.type(shown.front.files["text green"].decode())
    tab_to(page, "#form .button")
    page.keyboard.press("Enter")
    expect(page.locator("#head")).to_have_text("Please pass")
    page.goto(f"{shown.base}/open")
    page.locator("#checks li").first.wait_for()
    tab_to(page, ".policy a")


@pytest.mark.parametrize("path", PAGES)
def test_without_scripts_the_page_says_what_to_do(path: str, shared: Serving, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(shared.base + path)
    for said in ("JavaScript", "本页需要", "This page needs"):
        assert said in page.inner_text("main")
    context.close()


@pytest.mark.parametrize("name", ["index", "scan", "open", "venue"])
def test_a_first_load_is_60_kilobytes_at_most(name: str) -> None:
    frame = built(f"pages/{name}.html").read_text("utf-8")
    needed = re.findall(r'(?:src|href)="/([\w.-]+\.(?:js|css|svg|webmanifest))"', frame)
    assert len(needed) >= 3
    files = [frame.encode(), *(built(f"pages/{file}").read_bytes() for file in needed)]
    assert sum(len(gzip.compress(content, 9)) for content in files) <= 60_000
    assert not re.search(r"https?://(?!www\.w3\.org)", frame)


def test_the_shipped_pages_are_what_is_built() -> None:
    built("pages/index.html")
    ours = {file.name: file.read_bytes() for file in (DIST / "pages").iterdir()}
    shipped = {file.name: file.read_bytes() for file in SHIPPED.iterdir()}
    assert shipped == ours, (
        "rm -r src/kangma/gateway/front/pages; cp -r web/dist/pages src/kangma/gateway/front/"
    )
