"""QR codes that our pages draw and read, held against two that are not ours: segno draws, zxing reads."""

from __future__ import annotations

import base64
import io
import itertools
import json
import random
from typing import Any

import numpy as np
import pytest
import segno
import zxingcpp
from PIL import Image, ImageFilter
from web_built import built, node, vectors

BICUBIC = Image.Resampling.BICUBIC
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def asked(tasks: list[dict[str, Any]]) -> list[Any]:
    """What web/test/qr_all.ts makes of each task."""
    done = node(str(built("test/qr_all.mjs")), said=json.dumps(tasks))
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def drawn(rows: list[str], scale: int = 4, border: int = 4) -> Image.Image:
    """The modules as a picture."""
    side = len(rows) + 2 * border
    image = Image.new("L", (side, side), 255)
    for y, row in enumerate(rows):
        for x, module in enumerate(row):
            image.putpixel((x + border, y + border), 0 if module == "1" else 255)
    return image.resize((side * scale, side * scale), Image.Resampling.NEAREST)


def by_segno(text: str, scale: int = 4, **how: Any) -> Image.Image:
    out = io.BytesIO()
    segno.make_qr(text, boost_error=False, **how).save(out, kind="png", scale=scale, border=4)
    return Image.open(out).convert("L")


def task(image: Image.Image) -> dict[str, Any]:
    return {"grey": base64.b64encode(image.convert("L").tobytes()).decode(), "width": image.width}


def texts(seed: int, lengths: list[int]) -> list[str]:
    dice = random.Random(seed)
    return ["KM1:" + "".join(dice.choices(ALPHANUMERIC, k=n)) for n in lengths]


PHONE = next(v["text"] for v in vectors("verify") if v["name"] == "phone_green")


def test_a_phones_code_is_drawn_module_for_module_as_segno_draws_it() -> None:
    (rows,) = asked([{"text": PHONE, "level": "M", "mask": 5}])
    theirs = segno.make_qr(PHONE, error="m", boost_error=False, mask=5)
    assert theirs.version == 12
    assert rows == ["".join(map(str, row)) for row in theirs.matrix]


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
def test_every_version_level_and_mask_is_as_segno_has_it(level: str) -> None:
    tasks, expected = [], []
    for n, text in enumerate(texts(3, [1, 10, 30, 50, 80, 120, 160, 200, 260, 331, 400, 480, 560, 640])):
        for mask in (n % 8, (n + 3) % 8, (n + 6) % 8):
            try:
                made = segno.make_qr(text, error=level, boost_error=False, mask=mask)
            except segno.DataOverflowError:
                continue
            if int(made.version) > 25:
                continue
            tasks.append({"text": text, "level": level} | ({} if mask is None else {"mask": mask}))
            expected.append((text, ["".join(map(str, row)) for row in made.matrix]))
    assert len(tasks) > 25
    for rows, (text, theirs) in zip(asked(tasks), expected, strict=True):
        assert rows == theirs, (len(text), level)


def test_what_we_draw_is_read_by_a_strangers_reader_and_by_ours() -> None:
    made = [*texts(5, list(range(1, 700, 41))), "中文也可以 lower case", PHONE]
    pictures = [drawn(rows) for rows in asked([{"text": text} for text in made])]
    for text, picture in zip(made, pictures, strict=True):
        (seen,) = zxingcpp.read_barcodes(picture)
        assert seen.text == text
    for text, (seen, _) in zip(made, asked([task(picture) for picture in pictures]), strict=True):
        assert seen == text


def aslant(size: int, dice: random.Random, hard: float) -> list[float]:
    """The eight numbers of a plane seen aslant, its corners moved by some pixels."""
    rows, right = [], []
    for u, v in itertools.product((0, size), repeat=2):
        x, y = (n + dice.uniform(-hard, hard) * 50 for n in (u, v))
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        right += [x, y]
    return [float(n) for n in np.linalg.solve(rows, right)]


def held(image: Image.Image, dice: random.Random, *, hard: float) -> Image.Image:
    """A picture as a camera at a door has it: aslant, turned, blurred, unevenly lit and noisy."""
    size, canvas = 640, Image.new("L", (640, 640), 90 + dice.randrange(100))
    side = round(size * dice.uniform(0.6, 0.85))
    canvas.paste(image.resize((side, side), BICUBIC), ((size - side) // 2,) * 2)
    canvas = canvas.rotate(dice.uniform(-180, 180), BICUBIC, fillcolor=120)
    canvas = canvas.transform((size, size), Image.Transform.PERSPECTIVE, aslant(size, dice, hard), BICUBIC)
    canvas = canvas.filter(ImageFilter.GaussianBlur(dice.uniform(0, 1.0 * hard)))
    light = Image.linear_gradient("L").resize((size, size)).rotate(90 * dice.randrange(4))
    canvas = Image.blend(canvas, light, 0.35 * hard)
    noise = Image.effect_noise((size, size), 40 * hard)
    return Image.blend(canvas, noise, 0.15)


def share(ours: list[Any], text: str) -> float:
    assert {seen for seen, _ in ours} <= {text, None}  # never another text
    return sum(seen == text for seen, _ in ours) / len(ours)


def test_a_phone_held_to_a_camera_is_read() -> None:
    dice = random.Random(7)
    pictures = [held(by_segno(PHONE, error="m"), dice, hard=0.6) for _ in range(24)]
    found = asked([task(picture) for picture in pictures])
    theirs = sum(any(b.text == PHONE for b in zxingcpp.read_barcodes(p)) for p in pictures) / len(pictures)
    assert share(found, PHONE) >= max(0.8, theirs - 0.1), (share(found, PHONE), theirs)


def test_a_seventh_of_paper_may_be_lost() -> None:
    """Level M: a stain of some modules, anywhere but on a finder, costs nothing."""
    dice, pictures = random.Random(11), []
    paper = next(v["text"] for v in vectors("verify") if v["name"] == "paper_green")
    for _ in range(20):
        image = by_segno(paper, error="m", scale=6)
        edge = image.width // 6
        stain = Image.new("L", (edge, edge), dice.randrange(256))
        image.paste(stain, (dice.randrange(2 * edge, 3 * edge), dice.randrange(2 * edge, 3 * edge)))
        pictures.append(image)
    assert share(asked([task(picture) for picture in pictures]), paper) == 1


def test_where_there_is_no_code_none_is_read() -> None:
    dice, nothing = random.Random(13), []
    for n in range(12):
        image = Image.effect_noise((320, 240), 10 + 20 * n)
        nothing += [task(image), task(Image.new("L", (64 + n, 64), dice.randrange(256)))]
    nothing.append(task(Image.new("L", (1, 1))))
    for seen, processor in asked(nothing):
        assert seen is None
        assert processor < 2_000  # milliseconds of work, whoever else is on the machine


@pytest.mark.prove
def test_a_thousand_pictures_are_never_read_as_another_text() -> None:
    for hard in (0.3, 0.6, 1.0, 1.4):
        dice = random.Random(hard)
        pictures = [held(by_segno(PHONE, error="m"), dice, hard=hard) for _ in range(250)]
        share(asked([task(picture) for picture in pictures]), PHONE)
