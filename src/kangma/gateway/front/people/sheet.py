"""A credential on paper: one page of A4 as PDF in Chinese and in English, and a picture in English.

PDF 1.4 (ISO 32000-1) with nine objects. The modules of the QR symbol are rectangles, so that it prints sharp on any
printer. No font is in the file: Latin letters are in Helvetica, which every reader has; Chinese is in STSong-Light by the
predefined character map UniGB-UCS2-H (9.7.5.2), for which a reader takes what Chinese font it has. One that has none
still shows the English lines, each of which stands alone. Pictures need the letters themselves, and have the Latin ones
of the imaging library.
The symbol holds the credential and nothing else; all around it is for the person at the door.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import segno
from PIL import Image, ImageDraw, ImageFont

from kangma.credential import claims
from kangma.credential.mask import HIDDEN
from kangma.credential.qr import LEVEL, QUIET, png
from kangma.signing.cose import open1
from kangma.terms import Moment, Zone, calendar

MOST_CREDENTIAL = 2_048  # bytes
TITLE = "纸质健康码"
TITLE_EN = "Health code on paper"

_A4 = (595, 842)  # points
_SIDE = 283.0  # of the symbol with its margin: 10 cm
_SYMBOL = 152.0  # the top of the symbol
_LEFT = 62.0
_LATIN = r"\x20-\x7e\xa1-\xac\xae-\xff"  # printable, and the same in WinAnsiEncoding as in Unicode
_HAN = r"\u3400-\u4db5\u4e00-\u9fa5"  # all that UniGB-UCS2-H has of them


def about(credential: bytes, here: Zone) -> tuple[str, str, Moment]:
    """Of a credential of ours: the mask of its holder's name, the last day on which it is good, and its end."""
    said = claims.decode(open1(credential, most=MOST_CREDENTIAL).payload)
    return said.mask, calendar(here.day(said.expires - 1)).isoformat(), said.expires


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the sheet: where it stands below the top, in points of A4."""

    size: int
    down: float
    text: str
    left: float = _LEFT


_BELOW = _SYMBOL + _SIDE + 34
#: What stands on every sheet. A guard reads the numbered lines, in one language or the other.
_ENGLISH = (
    Line(19, 74, TITLE_EN, _LEFT + 5 * 30 + 16),
    Line(15, _BELOW, "For whoever checks it", _LEFT + 6 * 15 + 14),
    Line(
        11, _BELOW + 45, 'Scan this code with the page "Check a code". It works with no network.', _LEFT + 13
    ),
    Line(
        11,
        _BELOW + 89,
        "Ask for the holder's ID card or passport. Compare the name on it with the one on the page.",
        _LEFT + 13,
    ),
    Line(11, _BELOW + 133, "The paper has no colour: the page tells it.", _LEFT + 13),
    Line(11, _BELOW + 183, "Emergency care, going home and test sites are never refused."),
)
_CHINESE = (
    Line(30, 74, TITLE),
    Line(15, _BELOW, "门口怎样查验"),
    Line(12, _BELOW + 28, "1  用“扫码核验”网页扫描此码，断网也能核验。"),
    Line(12, _BELOW + 72, "2  请持有人出示身份证或护照，与核验页上显示的姓名比对。"),
    Line(12, _BELOW + 116, "3  纸上没有颜色，颜色以核验页为准。"),
    Line(12, _BELOW + 166, "急诊、回家和去采样点，不得拒绝。"),
)


def sheet(text: str, *, mask: str, until: str) -> bytes:
    """The page for this code, to be folded and carried; `until` the last day on which it is good. A mask with a letter
    that cannot be drawn is `*`: that says less, and nothing false."""
    symbol = segno.make_qr(text, error=LEVEL, boost_error=False)
    modules = [list(row) for row in symbol.matrix]
    scale = _SIDE / (len(modules) + 2 * QUIET)
    left, top = _LEFT - QUIET * scale, _A4[1] - _SYMBOL
    drawn = ["0 g"]
    for y, row in enumerate(modules):
        x = 0
        while x < len(row):
            wide = 1
            if row[x]:
                while x + wide < len(row) and row[x + wide]:
                    wide += 1
                at = (left + (x + QUIET) * scale, top - (y + QUIET + 1) * scale)
                drawn.append(f"{at[0]:.3f} {at[1]:.3f} {wide * scale:.3f} {scale:.3f} re")
            x += wide
    own = (
        Line(13, 106, f"持有人 Holder: {mask if re.fullmatch(f'[{_LATIN}{_HAN}]*', mask) else HIDDEN}"),
        Line(13, 128, f"有效期至 Good until the end of: {until}"),
    )
    drawn += ["f", *map(_written, (*own, *_CHINESE, *_ENGLISH))]
    return _pdf("\n".join(drawn).encode("ascii"))


def picture(text: str, *, mask: str, until: str) -> bytes:
    """The same as a PNG, for who shows a picture or prints one: black on white, its words in English, a mask that is not
    of ASCII as `*`."""
    symbol = Image.open(io.BytesIO(png(text))).convert("1")  # whole pixels a module: never scaled
    scale = symbol.width / _SIDE
    made = _empty(symbol.width).copy()
    made.paste(symbol, (round(_LEFT * scale - QUIET * 8), round(_SYMBOL * scale)))
    _draw(made, Line(13, 106, f"Holder: {mask if mask.isascii() else HIDDEN}"), scale)
    _draw(made, Line(13, 128, f"Good until the end of: {until}"), scale)
    out = io.BytesIO()
    made.save(out, "PNG")
    return out.getvalue()


@cache
def _empty(side: int) -> Image.Image:
    """The picture without a code, for a symbol of so many pixels."""
    scale = side / _SIDE
    made = Image.new("1", (round(_A4[0] * scale), round((_BELOW + 130) * scale)), 1)
    title, heading, *numbered, never = (line.text for line in _ENGLISH)
    _draw(made, Line(26, 74, title), scale)
    _draw(made, Line(15, _BELOW, heading), scale)
    for n, words in enumerate(numbered, 1):
        _draw(made, Line(11, _BELOW + 6 + 20 * n, f"{n}  {words}"), scale)
    _draw(made, Line(11, _BELOW + 98, never), scale)
    return made


def _draw(on: Image.Image, line: Line, scale: float) -> None:
    at = (line.left * scale, line.down * scale)
    ImageDraw.Draw(on).text(at, line.text, 0, _font(round(line.size * scale)), anchor="ls")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _written(line: Line) -> str:
    """Letters of Helvetica and Chinese ones in turns: the reader goes on by the widths of its own fonts."""
    shown = " ".join(f"/{font} {line.size} Tf <{code.hex()}> Tj" for font, code in _turns(line.text))
    return f"BT {line.left:.0f} {_A4[1] - line.down:.0f} Td {shown} ET"


def _turns(text: str) -> Iterator[tuple[str, bytes]]:
    for part in re.findall(f"[{_LATIN}]+|[^{_LATIN}]+", text):
        yield ("F", part.encode("latin-1")) if part[0] <= "\xff" else ("C", part.encode("utf-16-be"))


def _pdf(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)  # a fifth: it goes to phones
    title = f"{TITLE} {TITLE_EN}".encode("utf-16-be").hex().encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (zh-CN) /ViewerPreferences << /DisplayDocTitle true >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F 5 0 R /C 6 0 R >> >> >>" % _A4,
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light-UniGB-UCS2-H /Encoding /UniGB-UCS2-H "
        b"/DescendantFonts [7 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /FontDescriptor 8 0 R /DW 1000 "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> >>",
        # what every descriptor must say (9.8.1), of a square of 1,000; flags: serif, and letters beyond Latin
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [0 -120 1000 880] /ItalicAngle 0 "
        b"/Ascent 880 /Descent -120 /CapHeight 880 /StemV 90 >>",
        b"<< /Title <feff%s> >>" % title,
    ]
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % at for at in places)
    made += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        len(objects),
        table,
    )
    return bytes(made)
