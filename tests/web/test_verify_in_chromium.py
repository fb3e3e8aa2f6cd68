"""The browser's verifier in a browser, offline: the same vectors with the same results, and the page that people see."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import browser, served
from playwright.sync_api import Browser, Page, expect
from web_built import DIST, built, expected, vectors

from kangma.credential import issue
from kangma.credential.claims import Claims, Kind
from kangma.credential.marks import MarksInMemory
from kangma.credential.outcome import Colour, Verified
from kangma.credential.verify import Verifier
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.trust import decode_root

VECTORS = {v["name"]: v for v in vectors("verify")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def kangma(chromium: Browser) -> Iterator[Page]:
    """A page that has loaded web/test/browser.ts, and is offline."""
    built("test/browser.js")
    context = chromium.new_context()
    page = context.new_page()
    with served(DIST) as address:
        page.goto(f"{address}/test/index.html")
        context.set_offline(True)
        yield page
        context.close()


def test_chromium_says_of_every_vector_what_python_says(kangma: Page) -> None:
    observed = kangma.evaluate("vectors => kangma.replayAll(vectors)", list(VECTORS.values()))
    for vector, found in zip(VECTORS.values(), observed, strict=True):
        assert found == expected(vector), vector["name"]


def test_chromium_reads_every_status_list_as_python_does(kangma: Page) -> None:
    cwts = [v for v in vectors("status") if v["form"] != "jwt"]
    assert len(cwts) >= 50
    observed = kangma.evaluate("vectors => kangma.replayAllStatus(vectors)", cwts)
    for vector, found in zip(cwts, observed, strict=True):
        assert found == vector["expected"], vector["name"]


def test_chromium_believes_the_trust_lists_that_python_believes(kangma: Page) -> None:
    # Whether one list may follow on another is for publishers and auditors; a door knows versions.
    lists = [v for v in vectors("trust") if v["expect"].get("refused") != "not_next"]
    lists = [v for v in lists if "before" not in v or "version" in v["expect"]]
    assert len(lists) >= 50
    observed = kangma.evaluate("vectors => kangma.replayAllTrust(vectors)", lists)
    for vector, found in zip(lists, observed, strict=True):
        # No number with a fraction is read there at all, and so the reason for that one is another.
        fraction = vector["name"] == "key-time-fraction"
        assert found == ({"refused": "bad_message"} if fraction else vector["expect"]), vector["name"]


def test_hostile_input_does_in_chromium_what_it_does_in_node(kangma: Page) -> None:
    given = [list(VECTORS.values()), vectors("status"), 500, 7]
    for report in kangma.evaluate("given => kangma.fuzz(...given)", given):
        assert report["wrong"] == [], report["parser"]
        assert report["slowest"] < 100, report


def test_a_phone_in_the_browser_shows_what_python_verifies(kangma: Page) -> None:
    """The key is made in the browser and stays there; Python issues for it, and checks what the phone shows."""
    vector = VECTORS["phone_green"]
    said, now = vector["layers"]["claims"], vector["now"]
    point = bytes.fromhex(kangma.evaluate("() => kangma.phone.point()"))
    made = issue.sign(
        Claims(
            said["issuer"],
            said["issued"],
            said["expires"],
            said["uri"],
            said["index"],
            Kind.PHONE,
            "张*",
            bytes([2 + point[64] % 2]) + point[1:33],
        ),
        _vector_key("credential"),
    )
    text = kangma.evaluate("given => kangma.phone.shows(...given)", [made.hex(), now])
    verifier = Verifier(decode_root(base64.b64decode(vector["root"])), MarksInMemory())
    verifier.take_trust(base64.b64decode(vector["trust"]))
    for uri, content in vector["lists"].items():
        verifier.take_list(uri, base64.b64decode(content))
    found = verifier.verify(text, now=now)
    assert isinstance(found, Verified)
    assert found.colour is Colour.GREEN
    assert not isinstance(verifier.verify(text, now=now + 90), Verified)


def _vector_key(name: str) -> KeySigner:
    import hashlib  # noqa: PLC0415  as tests/vectors/make_verify.py makes its keys

    secret = hashlib.sha256(f"kangma vector key {name}".encode()).digest()
    return KeySigner(Algorithm.ES256, secret, Environment.TEST)


# ------------------------------------------------------------------------------------------------- the page


def public_folder(vector: dict[str, Any], folder: Path) -> Path:
    """What the vector holds, as public folders: of each city its own."""
    files = {"root": vector["root"], "trust": vector["trust"]}
    files |= {uri.partition("://")[2]: content for uri, content in vector["lists"].items()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(base64.b64decode(content))
    return folder


@pytest.fixture
def door(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page itself, opened from a file at 320 px, offline."""
    context = chromium.new_context(
        viewport={"width": 320, "height": 640}, locale=getattr(request, "param", "zh-CN"), offline=True
    )
    page = context.new_page()
    page.goto(built("verify.html").as_uri())
    yield page
    context.close()


def scan(page: Page, name: str, folder: Path) -> str:
    """The page's answer to a vector, in the words of its heading."""
    vector = VECTORS[name]
    page.clock.set_fixed_time(vector["now"])
    page.set_input_files("#folder", public_folder(vector, folder))
    expect(page.locator("#held")).to_contain_text(re.compile("[0-9]"))
    page.fill("#text", vector["text"])
    page.click("#form button")
    page.locator("#meta div").first.wait_for()
    return page.inner_text("#head")


@pytest.mark.parametrize(
    ("name", "door", "head", "shape"),
    [
        ("phone_green", "zh-CN", "绿码", "green"),
        ("phone_notice", "en-GB", "Green, with a notice", "notice"),
        ("phone_yellow", "en-GB", "Yellow", "yellow"),
        ("phone_red", "zh-CN", "红码", "red"),
        ("stale_list", "en-GB", "Last known: Green", "stale"),
        ("no_list", "zh-CN", "未能核验", "unknown"),
        ("proof_old", "en-GB", "Not a valid code", "refused"),
    ],
    indirect=["door"],
)
def test_the_page_says_in_word_and_shape_what_the_verifier_says(
    name: str, door: Page, head: str, shape: str, tmp_path: Path
) -> None:
    assert scan(door, name, tmp_path) == head
    state = door.get_attribute("#state", "class") or ""
    assert shape in state.split()
    coloured = {"green", "notice", "yellow", "red"} & set(state.split())
    assert bool(coloured) == (VECTORS[name]["expected"]["colour"] is not None)
    assert door.locator("#shape svg").count() == 1
    failed = VECTORS[name]["expected"]["step"]
    assert door.locator("#steps .failed").count() == (0 if failed is None else 1)
    assert door.locator("#steps .passed").count() == (9 if failed is None else failed - 1)


def test_paper_says_that_the_card_is_to_be_checked(door: Page, tmp_path: Path) -> None:
    scan(door, "paper_green", tmp_path)
    assert "请核对身份证" in door.inner_text("#meta")


@pytest.mark.parametrize("size", [16, 32])
def test_nothing_is_cut_off_at_320_pixels_even_with_letters_twice_as_large(
    door: Page, size: int, tmp_path: Path
) -> None:
    for name in ("phone_green", "proof_old"):
        scan(door, name, tmp_path / name)
        for _ in range(2):  # in both languages
            door.click("#language")
            door.evaluate("size => { document.documentElement.style.fontSize = size + 'px' }", size)
            wide = door.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 0


def test_what_can_be_pressed_is_48_pixels_high(door: Page) -> None:
    for button in door.locator("button:visible, .button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 48


def test_the_page_cannot_make_a_network_call(chromium: Browser) -> None:
    """Online, and with a server to talk to: its own policy forbids it."""
    context = chromium.new_context()
    page = context.new_page()
    asked: list[str] = []
    with served(DIST, asked) as address:
        page.goto(f"{address}/verify.html")
        calls = "async () => { try { await fetch('/test/index.html'); return 'went' } catch { return 'forbidden' } }"
        assert page.evaluate(calls) == "forbidden"
        page.evaluate("() => { new Image().src = '/test/index.html' }")
        page.evaluate(
            "() => { document.head.append(Object.assign(document.createElement('script'), {src: '/x.js'})) }"
        )
        assert page.evaluate(calls) == "forbidden"
        assert asked == ["/verify.html"]
        context.close()


def test_another_root_is_not_believed_until_somebody_says_so(door: Page, tmp_path: Path) -> None:
    scan(door, "phone_green", tmp_path / "mine")
    keys = [KeySigner(Algorithm.ES256, bytes([n]) * 32, Environment.TEST).public for n in (1, 2, 3)]
    from kangma.signing.trust import Root, encode_root  # noqa: PLC0415

    other = public_folder(VECTORS["phone_green"], tmp_path / "other")
    (other / "root").write_bytes(encode_root(Root(Environment.TEST, 2, tuple(keys))))
    door.set_input_files("#folder", other)
    door.locator("#forget").wait_for()
    door.click("#form button")
    assert door.inner_text("#head") == "尚未核验"
    door.click("#forget")
    expect(door.locator("#held")).to_contain_text("信任名单不能用")  # that root signed nothing here
