"""A picture of a record for sharing, 1200 × 630: what strangers see of it, drawn by ourselves.

Always as SVG. As PNG where this machine has fonts that hold every character of the text: the usual folders are searched
for Noto Sans CJK, Noto Sans and DejaVu Sans (docs/incidents.md says what to install). A card with empty boxes for
letters is never made.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import escape
from PIL import Image, ImageDraw, ImageFont, features

WIDE, HIGH = 1200, 630
_EDGE = 72
_INK, _SOFT, _PAPER, _GROUND = "#14181f", "#4a5260", "#ffffff", "#f3f4f1"
#: Degree → fill, ink, corners of its shape in a box of 24 (two numbers a corner; none for a circle), the strokes in it.
_LOOK: dict[str, tuple[str, str, tuple[float, ...], tuple[tuple[float, ...], ...]]] = {
    "none": ("#0a7a4a", "#ffffff", (), ((7, 12.4, 10.4, 15.8, 17, 8.6),)),
    "attempted": ("#3c3f9e", "#ffffff", (12, 1.8, 22.2, 12, 12, 22.2, 1.8, 12),
                  ((12, 7.2, 12, 12.8), (12, 16, 12, 16.8))),
    "partial": ("#ffc53d", "#14181f", (12, 2.4, 22.4, 21.2, 1.6, 21.2), ((12, 9, 12, 14.2), (12, 17.2, 12, 17.9))),
    "whole": (
        "#c2262e", "#ffffff", (7.7, 1.8, 16.3, 1.8, 22.2, 7.7, 22.2, 16.3, 16.3, 22.2, 7.7, 22.2, 1.8, 16.3, 1.8, 7.7),
        ((7, 12, 17, 12),),
    ),
    "unknown": ("#5a626e", "#ffffff", (), ((8.5, 12, 9, 12), (12, 12, 12.5, 12), (15.5, 12, 16, 12))),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """All that a picture says, as text. `effects`: (degree, what it is of, how far) for each of three."""

    register: str
    when: str  # date and place
    victim: str
    summary: str
    effects: tuple[tuple[str, str, str], ...]
    withdrawn: str = ""


def wrap(text: str, width: float, most: int, measure: Callable[[str], float]) -> list[str]:
    """The text in at most `most` lines of `width`. Broken between words, anywhere between Han, and inside a word that
    is too long; what is cut off leaves an ellipsis."""
    lines, line = list[str](), ""
    for piece in _pieces(text):
        if measure(line + piece.rstrip()) <= width:
            line += piece
            continue
        rest = piece
        while rest.strip():
            if line.strip():
                lines.append(line.rstrip())
            fits = len(rest)
            while fits > 1 and measure(rest[:fits].rstrip()) > width:
                fits -= 1
            line, rest = rest[:fits].lstrip(), rest[fits:]
            if len(lines) >= most:
                break
        if len(lines) >= most:
            break
    if line.strip():
        lines.append(line.rstrip())
    if len(lines) > most:
        last = lines[most - 1]
        while last and measure(last + "…") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + "…"]
    return lines


_NO_START = "，。、；：！？）》」』”’…,.;:!?)]}%"


def _pieces(text: str) -> Iterator[str]:
    """Words with the blank after them, and single Han; what may not begin a line stays with what is before it."""
    piece = ""
    for i, char in enumerate(text):
        piece += char
        following = text[i + 1 : i + 2]
        if following and following in _NO_START:
            continue
        if char.isspace() or _wide(char) or (following and _wide(following)):
            yield piece
            piece = ""
    if piece:
        yield piece


def _wide(char: str) -> bool:
    return (
        "\u2e80" <= char <= "\u9fff"
        or "\uac00" <= char <= "\ud7af"
        or "\uff00" <= char <= "\uffef"
        or char >= "\U00020000"
    )


def _guess(size: float) -> Callable[[str], float]:
    """How wide a text is likely to be in whichever font shows it: an em for Han, rather too much for the rest."""
    return lambda text: sum(size if _wide(c) else size * (0.72 if c.isupper() else 0.56) for c in text)


@dataclass(frozen=True, slots=True)
class _Line:
    x: float
    y: float  # of the base line
    size: int
    colour: str
    bold: bool
    text: str


def _laid_out(card: Card, measure: Callable[[int, bool], Callable[[str], float]]) -> list[_Line]:
    """Every line of text with its place. `measure` gives, for a size and weight, how wide a text is."""
    width = WIDE - 2 * _EDGE
    lines = [_Line(_EDGE + 34, 96, 28, _INK, True, _cut(card.register, width - 34, measure(28, True)))]
    y = 158.0
    if card.withdrawn:
        lines.append(_Line(_EDGE, y, 30, "#c2262e", True, _cut(card.withdrawn, width, measure(30, True))))
        y += 44
    lines.append(_Line(_EDGE, y, 28, _SOFT, False, _cut(card.when, width, measure(28, False))))
    y += 22
    for text in wrap(card.victim, width, 2, measure(56, True)):
        y += 64
        lines.append(_Line(_EDGE, y, 56, _INK, True, text))
    y += 18
    room = int((HIGH - 184 - y) // 44)
    for text in wrap(card.summary, width, max(1, min(4, room)), measure(30, False)):
        y += 44
        lines.append(_Line(_EDGE, y, 30, _INK, False, text))
    for i, (degree, what, how) in enumerate(card.effects):
        x = _EDGE + i * (width + 24) / 3
        ink = _LOOK[degree][1]
        room_ = (width - 48) / 3 - 96
        lines.append(_Line(x + 80, HIGH - 118, 22, ink, False, _cut(what, room_, measure(22, False))))
        lines.append(_Line(x + 80, HIGH - 86, 26, ink, True, _cut(how, room_, measure(26, True))))
    return lines


def _cut(text: str, width: float, measure: Callable[[str], float]) -> str:
    return "".join(wrap(text, width, 1, measure)[:1])


def _boxes(card: Card) -> Iterator[tuple[float, float, float, str]]:
    width = (WIDE - 2 * _EDGE - 48) / 3
    for i, (degree, _, _) in enumerate(card.effects):
        yield _EDGE + i * (width + 24), HIGH - 156, width, degree


def svg(card: Card, lang: str) -> str:
    """The picture as SVG; letters are in whichever sans-serif font its viewer has."""
    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" '
        f'xml:lang="{lang}" role="img" font-family="system-ui, \'Noto Sans CJK SC\', \'PingFang SC\', '
        f"'Noto Sans', sans-serif\"><title>{escape(card.victim)}</title>"
        f'<rect width="{WIDE}" height="{HIGH}" fill="{_GROUND}"/>'
        f'<rect x="28" y="28" width="{WIDE - 56}" height="{HIGH - 56}" rx="24" fill="{_PAPER}" stroke="#dcdfd8"/>'
        f'<rect x="{_EDGE}" y="74" width="22" height="22" rx="6" fill="{_INK}"/>'
    ]
    for x, y, width, degree in _boxes(card):
        fill, ink, corners, strokes = _LOOK[degree]
        made.append(f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="90" rx="18" fill="{fill}"/>')
        made.append(
            f'<g transform="translate({x + 18:.0f} {y + 22}) scale(1.9)" fill="none" stroke="{ink}" stroke-width="2" '
            'stroke-linecap="round" stroke-linejoin="round">'
        )
        made.append(
            f'<polygon points="{" ".join(f"{c:g}" for c in corners)}"/>'
            if corners
            else '<circle cx="12" cy="12" r="10"/>'
        )
        made += [f'<polyline points="{" ".join(f"{c:g}" for c in stroke)}"/>' for stroke in strokes]
        made.append("</g>")
    for line in _laid_out(card, lambda size, bold: _guess(size)):
        weight = ' font-weight="700"' if line.bold else ""
        made.append(
            f'<text x="{line.x:.0f}" y="{line.y:.0f}" font-size="{line.size}" fill="{line.colour}"{weight}>'
            f"{escape(line.text)}</text>"
        )
    made.append("</svg>")
    return "".join(made)


# As PNG

#: Where fonts usually are; KANGMA_FONTS names one more folder, looked into first.
FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
    "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
#: (regular, bold, number of the face for Simplified Chinese in a collection), the widest coverage first.
FAMILIES = (
    ("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc", 2),
    ("NotoSansCJKsc-Regular.otf", "NotoSansCJKsc-Bold.otf", 0),
    ("NotoSansSC-Regular.otf", "NotoSansSC-Bold.otf", 0),
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf", 0),
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", 0),
)


@lru_cache(maxsize=8)
def fonts(folders: Sequence[str] = FOLDERS) -> tuple[tuple[Path, Path, int], ...]:
    """The families that this machine has: (regular, bold, face). Looked for once."""
    wanted = {name for family in FAMILIES for name in family[:2]}
    found: dict[str, Path] = {}
    more = os.environ.get("KANGMA_FONTS")
    for folder in ([more] if more else []) + list(folders):
        for where, _, names in os.walk(Path(folder).expanduser()):
            for name in wanted.intersection(names):
                found.setdefault(name, Path(where) / name)
    return tuple(
        (found[regular], found.get(bold, found[regular]), face)
        for regular, bold, face in FAMILIES
        if regular in found
    )


@lru_cache(maxsize=128)
def _font(path: Path, face: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=face)


@lru_cache(maxsize=8)
def _missing(path: Path, face: int) -> bytes:
    """What the font draws for a character that it does not hold."""
    return bytes(_font(path, face, 32).getmask("\U0010fffe"))


@lru_cache(maxsize=20_000)
def _holds(path: Path, face: int, char: str) -> bool:
    return char.isspace() or bytes(_font(path, face, 32).getmask(char)) != _missing(path, face)


def _plain(char: str) -> bool:
    """Whether a letter stands by itself: right-to-left and joining scripts need shaping, for which Pillow needs Raqm."""
    return not ("\u0590" <= char <= "\u10ff" or "\u1780" <= char <= "\u18af" or "\ufb1d" <= char <= "\ufefc")


def _face(text: str, bold: bool) -> tuple[Path, int] | None:
    """The first family that holds every character of the text; None when none does."""
    if not features.check("raqm") and not all(map(_plain, text)):
        return None
    for regular, heavy, face in fonts():
        if all(_holds(regular, face, c) for c in set(text)):
            return (heavy if bold else regular), face
    return None


@lru_cache(maxsize=256)
def png(card: Card) -> bytes | None:
    """The picture as PNG; None when this machine has no fonts that hold all of its text."""

    def measure(size: int, bold: bool) -> Callable[[str], float]:
        def width(text: str) -> float:
            found = _face(text, bold)
            return _font(*found, size).getlength(text) if found else _guess(size)(text)

        return width

    try:
        lines = _laid_out(card, measure)
        faces = [_face(line.text, line.bold) for line in lines]
        if not all(faces):
            return None
        picture = Image.new("RGB", (WIDE, HIGH), _GROUND)
        draw = ImageDraw.Draw(picture)
        draw.rounded_rectangle((28, 28, WIDE - 28, HIGH - 28), 24, _PAPER, "#dcdfd8")
        draw.rounded_rectangle((_EDGE, 74, _EDGE + 22, 96), 6, _INK)
        for x, y, width, degree in _boxes(card):
            _sign(picture, draw, x, y, width, degree)
        for line, found in zip(lines, faces, strict=True):
            assert found is not None
            draw.text((line.x, line.y), line.text, line.colour, _font(*found, line.size), anchor="ls")
    except OSError:  # a font file that cannot be read is no font
        return None
    made = io.BytesIO()
    picture.save(made, "PNG", optimize=True)
    return made.getvalue()


def _sign(
    picture: Image.Image, draw: ImageDraw.ImageDraw, x: float, y: float, width: float, degree: str
) -> None:
    """A box with its shape. The shape is drawn four times as large and brought down, for smooth edges."""
    fill, ink, corners, strokes = _LOOK[degree]
    draw.rounded_rectangle((x, y, x + width, y + 90), 18, fill)
    scale, side = 4 * 1.9, int(24 * 1.9)
    large = Image.new("RGB", (side * 4, side * 4), fill)
    pen = ImageDraw.Draw(large)

    def points(flat: Sequence[float]) -> list[Any]:
        return [(flat[i] * scale, flat[i + 1] * scale) for i in range(0, len(flat), 2)]

    heavy = round(2 * scale)
    if corners:
        ring = points(corners)
        pen.line([*ring, ring[0], ring[1]], ink, heavy, joint="curve")
    else:
        pen.ellipse((1 * scale, 1 * scale, 23 * scale, 23 * scale), outline=ink, width=heavy)
    for stroke in strokes:
        pen.line(points(stroke), ink, heavy, joint="curve")
        for px, py in points(stroke)[:: max(1, len(stroke) // 2 - 1)]:
            pen.ellipse((px - heavy / 2, py - heavy / 2, px + heavy / 2, py + heavy / 2), fill=ink)
    picture.paste(large.resize((side, side), Image.Resampling.LANCZOS), (int(x + 18), int(y + 22)))
