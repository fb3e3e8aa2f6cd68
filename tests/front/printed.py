"""A sheet of `kangma.gateway.front.people.sheet` as a printer would draw it: its rectangles, without its words."""

from __future__ import annotations

import zlib

from PIL import Image

SCALE = 4  # pixels a point


def seen_on(page: bytes) -> Image.Image:
    """The one page of this PDF."""
    start = page.index(b"stream\n") + len(b"stream\n")
    drawn = zlib.decompress(page[start : page.rindex(b"\nendstream")]).decode()
    image = Image.new("L", (595 * SCALE, 842 * SCALE), 255)
    for line in drawn.split("\n"):
        if line.endswith(" re"):
            x, y, wide, high = (float(n) * SCALE for n in line.split()[:4])
            top = 842 * SCALE - y - high
            image.paste(0, (round(x), round(top), round(x + wide), round(top + high)))
    return image
