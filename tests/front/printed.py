"""A sheet of `kangma.gateway.front.people.sheet` as a printer would draw it: its rectangles, and its words as text."""

from __future__ import annotations

import re
import zlib

from PIL import Image

SCALE = 4  # pixels a point


def seen_on(page: bytes) -> Image.Image:
    """The one page of this PDF."""
    image = Image.new("L", (595 * SCALE, 842 * SCALE), 255)
    for line in _drawn(page):
        if line.endswith(" re"):
            x, y, wide, high = (float(n) * SCALE for n in line.split()[:4])
            top = 842 * SCALE - y - high
            image.paste(0, (round(x), round(top), round(x + wide), round(top + high)))
    return image


def said_on(page: bytes) -> list[str]:
    """Its lines of words, each letter by the font that it is drawn with."""
    codes = {"F": "cp1252", "C": "utf-16-be"}
    return [
        "".join(bytes.fromhex(code).decode(codes[font]) for font, code in shown)
        for line in _drawn(page)
        if (shown := re.findall(r"/([FC]) [0-9]+ Tf <([0-9a-f]+)> Tj", line))
    ]


def _drawn(page: bytes) -> list[str]:
    start = page.index(b"stream\n") + len(b"stream\n")
    return zlib.decompress(page[start : page.rindex(b"\nendstream")]).decode().split("\n")
