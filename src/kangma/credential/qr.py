"""A code as a picture, error level M: what a phone without our page, or a printer, shows."""

from __future__ import annotations

from io import BytesIO

import segno

LEVEL = "m"  # a seventh of the symbol may be lost: fingers, scratches, folds
QUIET = 4  # modules of white on each side (ISO/IEC 18004, 9.1)


def _made(text: str) -> segno.QRCode:
    return segno.make_qr(text, error=LEVEL, boost_error=False)


def version(text: str) -> int:
    """The size of its symbol, 1 to 40; version v has 17 + 4 v modules a side."""
    found = _made(text).version
    assert isinstance(found, int)
    return found


def png(text: str, *, scale: int = 8) -> bytes:
    """Black on white, `scale` pixels a module."""
    return _written(text, "png", scale)


def svg(text: str, *, scale: int = 8) -> bytes:
    """The same as one path, for paper of any size."""
    return _written(text, "svg", scale)


def _written(text: str, kind: str, scale: int) -> bytes:
    out = BytesIO()
    _made(text).save(out, kind=kind, scale=scale, border=QUIET, light="#fff")
    return out.getvalue()
