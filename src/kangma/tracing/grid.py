"""The grid of the companion rule: which cell a point lies in."""

from __future__ import annotations

from math import cos, floor

DEGREE = 111319.49079327358  # metres in a degree of the equator (WGS 84: 6,378,137 m × π / 180)


def cell(lat: float, lon: float, metres: int) -> int:
    """The number of the cell of about `metres` × `metres` that a point (degrees, WGS 84) lies in.

    The globe is cut into bands of `metres` from the south pole up, and each band into the whole number of slices
    that comes nearest to `metres` at the middle of the band; the number is band · 10⁷ + slice, slices counted
    eastward from 180° W. Cells of one band are equal; at 40° N and 800 m they differ from 800 m by less than 0.1 m
    at the middle of the band. Operation by operation the same as places.sql, so that both give the same number.
    """
    if not (-90 <= lat <= 90 and -180 <= lon <= 180 and metres >= 10):
        raise ValueError("not a point on the globe, or cells too small")
    band = floor((lat + 90.0) * DEGREE / metres)
    middle = (band + 0.5) * metres / DEGREE - 90.0
    slices = max(floor(360.0 * DEGREE * cos(middle * 0.017453292519943295) / metres + 0.5), 1)
    return band * 10_000_000 + floor((lon + 180.0) * slices / 360.0) % slices
