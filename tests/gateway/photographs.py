"""Pictures as phones make them: with a place, a camera, a name and a remark inside, and lying on their side."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, PngImagePlugin

CANARY = "CANARYplace"


def photograph(form: str = "JPEG", size: tuple[int, int] = (60, 40), **more: Any) -> bytes:
    """Left half red, right half blue; its Exif says that it is to be turned by a quarter, and where it was taken."""
    picture = Image.new("RGB", size, (200, 30, 30))
    picture.paste((30, 30, 200), (size[0] // 2, 0, size[0], size[1]))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    exif[0x010F] = f"{CANARY} camera"
    exif[0x9286] = f"{CANARY} remark"
    exif.get_ifd(0x8825)[0x001D] = "2022:04:28"
    made = io.BytesIO()
    if form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", f"{CANARY} text")
        text.add_itxt("XML:com.adobe.xmp", f"{CANARY} xmp")
        picture.save(made, "PNG", pnginfo=text, exif=exif, icc_profile=f"{CANARY} icc".encode(), **more)
    else:
        picture.save(made, form, exif=exif, icc_profile=f"{CANARY} icc".encode(), quality=95, **more)
    return made.getvalue() + f"{CANARY} behind the end".encode()
