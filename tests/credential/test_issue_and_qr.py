"""Issuing: whole days, three ahead, renewed at all hours; and pictures that a stranger's reader reads."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import zxingcpp
from at_the_door import NOW, door, world
from PIL import Image

from kangma.credential import holder, issue, qr, text
from kangma.credential.claims import Kind
from kangma.credential.outcome import Verified
from kangma.terms import DAY, HOUR, moment, zone

PHONE = world.PHONE.public


def test_a_day_is_a_local_day_whole_and_its_code_verifies() -> None:
    place = issue.Place(str(world.TODAY), 0, 7)
    claims = issue.of_a_day(world.BEIJING, world.ZONE, world.TODAY, place, "张*", PHONE)
    assert (claims.issued, claims.expires) == (world.midnight(0), world.midnight(1))
    assert (claims.uri, claims.index, claims.kind) == (world.DAILY, 7, Kind.PHONE)
    made = issue.sign(claims, world.CREDENTIAL)
    assert made == issue.sign(claims, world.CREDENTIAL)  # the same claims and key, the same bytes
    code = issue.shown(made, holder.prove(made, holder.step_of(NOW), world.PHONE))
    assert isinstance(door().verify(code, now=NOW), Verified)


def test_where_the_clocks_change_a_day_has_25_hours_and_paper_an_hour_more() -> None:
    berlin = zone("Europe/Berlin")
    autumn = berlin.day(moment("2022-10-30T12:00:00+01:00"))
    place = issue.Place("x", 0, 0)
    day = issue.of_a_day(world.BEIJING, berlin, autumn, place, "M.", PHONE)
    assert day.expires - day.issued == 25 * HOUR
    paper = issue.on_paper(world.BEIJING, berlin, autumn - 3, place, "M.")
    assert paper.expires - paper.issued == 28 * DAY + HOUR
    for days in (0, 29):
        with pytest.raises(ValueError, match="1 to 28 days"):
            issue.on_paper(world.BEIJING, berlin, autumn, place, "M.", days=days)


def test_phones_do_not_all_renew_at_once() -> None:
    """Of 50,000 phones no minute of the day sees much more than its share, and nobody's time is the same tomorrow."""
    days = [
        np.array(
            [
                issue.renewal(bytes(32), n.to_bytes(16, "big"), world.TODAY + d, world.ZONE)
                for n in range(50_000)
            ]
        )
        for d in (0, 1)
    ]
    for d, times in enumerate(days):
        assert world.midnight(d) <= times.min() <= times.max() < world.midnight(d + 1)
        minutes = np.bincount((times - world.midnight(d)) // 60, minlength=1440)
        assert minutes.max() < 35 + 6 * 35**0.5
    assert abs(np.corrcoef(days[0], days[1])[0, 1]) < 5 / 50_000**0.5
    assert issue.renewal(bytes(32), b"a" * 16, 1, world.ZONE) != issue.renewal(
        bytes([1] * 32), b"a" * 16, 1, world.ZONE
    )


def test_the_longest_code_of_a_phone_fits_version_13_and_the_usual_one_version_12() -> None:
    base, family = "https://health-code.beijing.example/city", f"x{world.TODAY}"
    assert len(base) == 40
    worst = []
    for n in range(20):
        phone = world.key(f"phone {n}")
        claims = world.phone(
            2**20 - 1 - n,
            issuer="cn-bj-01",
            uri=f"{base}/status/{family}/{21 + n}",
            mask="欧阳*娜**",
            holder=phone.public.compressed,
        )
        worst.append(world.shown(claims, by=phone))
    assert max(len(t) for t in worst) <= 483
    assert max(map(qr.version, worst)) <= 13
    assert qr.version(world.shown(world.phone())) <= 12
    assert qr.version(world.shown(world.paper())) <= 9


def test_a_reader_that_is_not_ours_reads_the_picture() -> None:
    for claims in (world.phone(), world.paper()):
        code = world.shown(claims)
        with Image.open(BytesIO(qr.png(code, scale=4))) as picture:
            (read,) = zxingcpp.read_barcodes(picture)
        assert read.text == code
        assert read.ec_level == "M"
        assert qr.svg(code).startswith(b"<?xml")
    assert text.unpack(code)


def test_a_picture_with_a_smudge_is_still_read() -> None:
    code = world.shown(world.phone())
    with Image.open(BytesIO(qr.png(code, scale=6))) as picture:
        smudged = picture.convert("L")
    middle = smudged.width // 2
    smudged.paste(255, (middle - 30, middle - 30, middle + 30, middle + 30))
    (read,) = zxingcpp.read_barcodes(smudged)
    assert read.text == code
