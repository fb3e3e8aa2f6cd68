"""A credential on a sheet of A4: one page of PDF, drawn by us, with the letters of no font but the reader's own.

PDF 1.4 (ISO 32000-1) with six objects. The modules of the QR symbol are rectangles, so that it prints sharp on any
printer; words are in Helvetica, which every reader has, and so only in Latin letters: what must be read in Chinese is
drawn by the page of the resident, which prints itself.
"""

from __future__ import annotations

import zlib

import segno

from kangma.credential.qr import LEVEL, QUIET

_A4 = (595, 842)  # points
_SIDE = 283  # of the symbol with its margin: 10 cm


def sheet(text: str, *, mask: str, until: str) -> bytes:
    """The page for this code, to be folded and carried; `until` the last day on which it is good."""
    symbol = segno.make_qr(text, error=LEVEL, boost_error=False)
    modules = [list(row) for row in symbol.matrix]
    size = len(modules) + 2 * QUIET
    scale = _SIDE / size
    left, top = (_A4[0] - _SIDE) / 2, 700.0
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
    drawn.append("f")
    latin = mask if mask.isascii() else "*"
    lines = [
        (20, 760, "Health code on paper"),
        (12, 738, f"Holder: {latin}    Good until the end of {until}"),
        (
            12,
            386,
            "Doors look up its state when they scan it. Please show a document with your name beside it.",
        ),
        (12, 368, "Emergency care, going home and test sites are never refused."),
    ]
    for height, y, words in lines:
        drawn.append(f"BT /F {height} Tf {left - 60:.0f} {y} Td ({_escaped(words)}) Tj ET")
    return _pdf("\n".join(drawn).encode("ascii"))


def _escaped(words: str) -> str:
    return "".join("\\" + c if c in "()\\" else c for c in words if 32 <= ord(c) < 127)


def _pdf(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)  # a fifth: it goes to phones
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
        % _A4,
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % at for at in places)
    made += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(made)
