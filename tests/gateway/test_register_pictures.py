"""Pictures: only what is seen on them is kept, licence and words for it are asked for, and their level is kept."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from house import RECORD, House
from hypothesis import given, settings
from hypothesis import strategies as st
from photographs import CANARY, photograph
from PIL import Image
from sound_html import Sound, sound

from kangma.errors import Refused
from kangma.gateway.register.pictures import MOST_SIDE, drawn_anew
from kangma.gateway.register.sent import parts_of
from kangma.incidents.form import from_json
from kangma.incidents.life import Role

WORK = "/members/work/an-attack"
WORDS = {"licence": "own", "alt.zh": "一张图", "alt.en": "A chart", "credit": "", "level": "public"}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_only_the_picture_is_kept_and_it_stands_upright(form: str) -> None:
    """Where a nurse stood when she took it is in the file of her phone, and in nothing that we keep."""
    sent = photograph(form)
    assert sent.count(CANARY.encode()) >= 3
    media, kept = drawn_anew(sent)
    assert media == f"image/{form.lower()}"
    assert CANARY.encode() not in kept
    with Image.open(io.BytesIO(kept)) as picture:
        assert picture.size == (40, 60)
        assert not picture.getexif()
        assert not {"icc_profile", "exif", "xmp", "comment", "Comment", "XML:com.adobe.xmp"} & set(
            picture.info
        )
        above, below = (picture.convert("RGB").getpixel((20, y)) for y in (10, 50))
        assert isinstance(above, tuple)
        assert isinstance(below, tuple)
        assert above[0] > 150 > above[2]
        assert below[2] > 150 > below[0]


def test_a_large_photograph_is_made_smaller_and_what_is_clear_stays_clear() -> None:
    _, kept = drawn_anew(photograph("JPEG", (5_000, 3_000)))
    with Image.open(io.BytesIO(kept)) as picture:
        assert max(picture.size) == MOST_SIDE
    made = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(made, "PNG")
    with Image.open(io.BytesIO(drawn_anew(made.getvalue())[1])) as picture:
        assert picture.mode == "RGBA"
        assert picture.getpixel((1, 1)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_drawn_and_drawing_it_again_changes_nothing(mode: str) -> None:
    made = io.BytesIO()
    Image.new(mode, (9, 7)).save(made, "PNG")
    once = drawn_anew(made.getvalue())
    assert drawn_anew(once[1]) == once


def _png(width: int, height: int) -> bytes:
    """The head of a PNG that says to be so large, with next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _moving() -> bytes:
    made = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (n * 80, 0, 0)) for n in range(3)]
    frames[0].save(made, "WEBP", save_all=True, append_images=frames[1:])
    return made.getvalue()


def _as(form: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (8, 8)).save(made, form)
    return made.getvalue()


NO_PICTURES = {
    "nothing": b"", "a bomb": _png(60_000, 60_000), "a larger bomb": _png(2**31 - 1, 2**31 - 1),
    "cut off": photograph("JPEG", (400, 400))[:2_000], "cut off PNG": _png(100, 100), "SVG": b"<svg onload='alert(1)'/>",
    "HTML": b"<!doctype html><script>alert(1)</script>", "GIF": _as("GIF"), "TIFF": _as("TIFF"), "BMP": _as("BMP"),
    "PDF": b"%PDF-1.4", "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "moving": _moving(),
    "only magic": b"\x89PNG\r\n\x1a\n",
}  # fmt: skip


@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_still_picture_of_these_three_forms_is_refused(what: str) -> None:
    with pytest.raises(Refused):
        drawn_anew(NO_PICTURES[what])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
)
def test_spoilt_pictures_are_refused_or_drawn_and_nothing_else(
    form: str, spoils: list[tuple[int, int]]
) -> None:
    content = bytearray(photograph(form))
    for place, value in spoils:
        content[place % len(content)] = value
    try:
        media, kept = drawn_anew(bytes(content))
    except Refused:
        return
    assert CANARY.encode() not in kept
    assert media in ("image/png", "image/jpeg", "image/webp")


# Forms with a file


def test_a_form_is_read_to_the_byte() -> None:
    value = b"\r\n--x\r\n--xy\r\n\x00\xff--xyz--\r\n"
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="alt.zh"\r\n\r\n\xe5\x9b\xbe\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="c.png"\r\nContent-Type: image/png\r\n\r\n'
        + value
        + b"\r\n--xyz--\r\n"
    )
    found = parts_of(body, b"xyz")
    assert (found.fields, found.files) == ({"alt.zh": "图"}, {"file": value})


BAD_FORMS = {
    "no end": b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xyz',
    "no start": b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--xyz--',
    "empty": b"", "only an end": b"--xyz--", "no head": b"--xyz\r\n\r\n1\r\n--xyz--",
    "no name": b"--xyz\r\nContent-Disposition: form-data\r\n\r\n1\r\n--xyz--",
    "two names": b'--xyz\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\n1\r\n--xyz--',
    "twice": b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'
    b'\r\n--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xyz--',
    "no text": b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xyz--',
    "a long head": b'--xyz\r\nContent-Disposition: form-data; name="a"\r\nX: ' + b"a" * 2_000 + b"\r\n\r\n1\r\n--xyz--",
    "many": b"".join(b'--xyz\r\nContent-Disposition: form-data; name="a%c"\r\n\r\n1\r\n' % (97 + n) for n in range(25))
    + b"--xyz--",
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FORMS)
def test_a_form_that_no_browser_sends_is_refused(what: str) -> None:
    with pytest.raises(Refused):
        parts_of(BAD_FORMS[what], b"xyz")


# At the desk


def send(
    at: House, role: Role | None, words: dict[str, str], content: bytes | None, status: int = 303
) -> Any:
    files: dict[str, Any] = (
        {"file": ("IMG_CANARYname.jpg", content, "image/jpeg")}
        if content is not None
        else {"file": ("", b"")}
    )
    answer = at.client(role).post(
        f"{WORK}/picture", data=words, files=files, headers={"accept": "text/html", "accept-language": "en"}
    )
    assert answer.status_code == status, (answer.status_code, answer.text[:900])
    return answer if status == 303 else sound(answer.text)


def page(at: House, address: str = f"{WORK}/picture", lang: str = "en") -> Sound:
    answer = at.client(Role.EDITOR).get(address, headers={"accept": "text/html", "accept-language": lang})
    assert answer.status_code == 200
    return sound(answer.text)


@pytest.fixture
def drafted(at_home: House) -> House:
    at_home.register.new(at_home.caller(Role.EDITOR), from_json(RECORD), now=at_home.clock())
    return at_home


def test_a_picture_is_taken_from_a_form_and_published_at_its_level(drafted: House) -> None:
    for lang in ("zh", "en"):
        assert [
            e.attributes["name"]
            for e in page(drafted, lang=lang).all("input")
            if e.attributes.get("type") == "file"
        ]
    send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1", "level": "member"}, photograph())
    shown = page(drafted)
    assert [e.attributes["alt"] for e in shown.all("img")] == ["A chart"]
    file = drafted.client(Role.EDITOR).get(f"{WORK}/picture/file")
    assert file.headers["content-type"] == "image/jpeg"
    assert file.headers["cache-control"] == "private, no-store"
    assert CANARY.encode() not in file.content
    for role in (None, Role.READER):
        assert drafted.client(role).get(f"{WORK}/picture/file").status_code in (401, 403)
    ed, rob = drafted.caller(Role.EDITOR), drafted.caller(Role.REVIEWER)
    drafted.register.submit(ed, "an-attack", now=drafted.clock())
    drafted.register.approve(rob, "an-attack", edit=2, now=drafted.clock())
    drafted.register.publish(rob, "an-attack", now=drafted.clock())
    assert drafted.client().get("/v1/incidents/an-attack/picture").status_code == 404
    assert drafted.client(Role.READER).get("/v1/incidents/an-attack/picture").content == file.content
    assert "IMG_CANARYname" not in str(drafted.register.work(ed, "an-attack", now=0))


@pytest.mark.parametrize("lacking", ["licence", "alt.zh", "alt.en"])
def test_no_picture_without_a_licence_and_words_for_it(drafted: House, lacking: str) -> None:
    told = send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1", lacking: " "}, photograph(), status=422)
    assert "Not saved" in told.text
    marked = [e.attributes["name"] for e in told.elements if e.attributes.get("aria-invalid")]
    assert marked == [lacking]
    assert drafted.register.work(drafted.caller(Role.EDITOR), "an-attack", now=0).edit == 1


def test_anothers_work_is_shown_under_their_name(drafted: House) -> None:
    words = {**WORDS, "after_edit": "1", "licence": "CC-BY-4.0"}
    send(drafted, Role.EDITOR, words, photograph(), status=422)
    send(drafted, Role.EDITOR, {**words, "credit": "City archive"}, photograph())


def test_no_picture_no_file_and_no_words_are_lost(drafted: House) -> None:
    for content in (None, b"<svg/>", b"x" * 100):
        told = send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1"}, content, status=422)
        typed = {e.attributes.get("name"): e.attributes.get("value") for e in told.all("input")}
        assert (typed["alt.zh"], typed["alt.en"]) == ("一张图", "A chart")
    large = send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1"}, bytes(5 * 2**20), status=413)
    assert "at most 4 MiB" in large.text
    typed = {e.attributes.get("name"): e.attributes.get("value") for e in large.all("input")}
    assert (typed["alt.zh"], typed["alt.en"]) == ("一张图", "A chart")
    assert send(drafted, Role.EDITOR, WORDS, bytes(33 * 2**20), status=413)
    assert drafted.client(Role.EDITOR).post(f"{WORK}/picture", json={}).status_code == 415


def test_its_words_are_changed_without_the_file_and_it_is_removed(drafted: House) -> None:
    send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1"}, photograph())
    before = drafted.register.work(drafted.caller(Role.EDITOR), "an-attack", now=0).record.picture
    send(drafted, Role.EDITOR, {**WORDS, "after_edit": "2", "alt.en": "A better line"}, None)
    after = drafted.register.work(drafted.caller(Role.EDITOR), "an-attack", now=0).record.picture
    assert before is not None
    assert after is not None
    assert (after.digest, after.alt.get("en")) == (before.digest, "A better line")
    gone = drafted.client(Role.EDITOR).post(
        f"{WORK}/picture/remove", data={"after_edit": "3"}, files={"x": b""}
    )
    assert gone.status_code == 303
    assert drafted.register.work(drafted.caller(Role.EDITOR), "an-attack", now=0).record.picture is None


def test_the_second_to_save_is_told_and_keeps_their_words(drafted: House) -> None:
    ed = drafted.caller(Role.EDITOR)
    changed = from_json(RECORD | {"date": "2022-04-27"})
    drafted.register.edit(ed, changed, after_edit=1, now=drafted.clock())
    told = send(drafted, Role.EDITOR, {**WORDS, "after_edit": "1"}, photograph(), status=409)
    assert "somebody saved after you began" in told.text
    assert "Wednesday 27 April 2022" in told.text
    assert {e.attributes.get("name"): e.attributes.get("value") for e in told.all("input")}[
        "after_edit"
    ] == "2"


@pytest.mark.parametrize("role", [None, Role.READER])
def test_a_picture_is_for_editors_to_add(drafted: House, role: Role | None) -> None:
    answer = drafted.client(role).post(f"{WORK}/picture", data=WORDS, files={"file": ("a", photograph())})
    assert answer.status_code == (403 if role else 401)
