"""Drawings of the register as SVG, made by ourselves: shapes of degree, stacked columns, a matrix of dots, and the map.

Pure: numbers in, markup out. Colour comes from the page's style sheet by class, so that a drawing follows dark, contrast
and print; shape or number always says the same as colour. Nothing here carries a style attribute or a script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2, sqrt

from markupsafe import Markup, escape

from kangma.gateway.register import atlas
from kangma.incidents.vocabulary import Degree

_SHAPES: Mapping[Degree, str] = {
    Degree.NONE: '<circle cx="12" cy="12" r="10"/><path d="M7 12.4l3.4 3.4L17 8.6"/>',
    Degree.ATTEMPTED: '<path d="M12 1.8L22.2 12 12 22.2 1.8 12z"/><path d="M12 7.2v5.6M12 16.4v.1"/>',
    Degree.PARTIAL: '<path d="M12 2.4l10.4 18.8H1.6z"/><path d="M12 9v5.4M12 17.6v.1"/>',
    Degree.WHOLE: '<path d="M7.7 1.8h8.6l5.9 5.9v8.6l-5.9 5.9H7.7l-5.9-5.9V7.7z"/><path d="M7 12h10"/>',
    Degree.UNKNOWN: '<circle cx="12" cy="12" r="10" stroke-dasharray="4.2 3.6"/>',
}


def shape(degree: Degree | str) -> Markup:
    """The sign of a degree: circle with tick, diamond, triangle, octagon with bar, dashed circle. Words are beside it."""
    return Markup(
        '<svg class="shape" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        f"{_SHAPES[Degree(degree)]}</svg>"
    )


#: What lies over a column besides its colour, so that degrees are told apart in grey too; the same in the legend.
_PATTERNED = {"attempted": "M0 8L8 0", "partial": "M0 0L8 8", "whole": "M0 4H8", "unknown": "M4 0V8"}
_PATTERNS = (
    "<defs>"
    + "".join(
        f'<pattern id="over-{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<path class="over {name}" d="{path}"/></pattern>'
        for name, path in _PATTERNED.items()
    )
    + "</defs>"
)


def swatch(degree: Degree | str) -> Markup:
    """A piece of a column, for the legend of a page that has one."""
    name = Degree(degree).value
    over = f'<rect width="24" height="16" fill="url(#over-{name})"/>' if name in _PATTERNED else ""
    return Markup(
        '<svg class="swatch" width="24" height="16" viewBox="0 0 24 16" aria-hidden="true" focusable="false">'
        f'<rect class="seg {name}" width="24" height="16"/>{over}</svg>'
    )


def ticks(most: int) -> list[int]:
    """Round numbers from 0 that reach `most`, five at most."""
    for step in (s * 10**power for power in range(12) for s in (1, 2, 5)):
        if ceil(most / step) <= 4:
            return list(range(0, step * max(1, ceil(most / step)) + 1, step))
    raise ValueError("more than there can be")


def columns(
    steps: Sequence[tuple[str, str]],
    series: Sequence[tuple[str, Sequence[int]]],
    *,
    label: str,
    wide: int = 960,
) -> Markup:
    """Stacked columns. `steps`: (what stands under the column, "" for nothing; its whole name). `series`: (class of the
    segment, a number each step), drawn from the bottom. Drawn at its own size: letters do not shrink on a phone."""
    left, top, high, foot = 44, 12, 240, 34
    pitch = max(22, min(150, (wide - left) // max(1, len(steps))))
    bar = max(12, min(88, int(pitch * 0.7)))
    width, height = left + pitch * max(1, len(steps)) + 8, top + high + foot
    totals = [sum(numbers[i] for _, numbers in series) for i in range(len(steps))]
    marks = ticks(max(totals, default=0) or 1)
    scale = high / marks[-1]
    made = [
        f'<svg class="drawn" role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-size="14">'
    ]
    made.append(_PATTERNS)
    for mark in marks:
        y = round(top + high - mark * scale, 1)
        made.append(f'<path class="rule" d="M{left} {y}H{width - 4}"/>')
        made.append(f'<text class="axis" x="{left - 8}" y="{y + 5}" text-anchor="end">{mark:,}</text>')
    for i, (short, whole) in enumerate(steps):
        x, y = left + i * pitch + (pitch - bar) // 2, float(top + high)
        made.append(f"<g><title>{escape(whole)}: {totals[i]:,}</title>")
        for name, numbers in series:
            if tall := numbers[i] * scale:
                y -= tall
                gap = 1 if tall > 3 else 0
                made.append(
                    f'<rect class="seg {escape(name)}" x="{x}" y="{round(y + gap, 1)}" width="{bar}" '
                    f'height="{round(tall - gap, 1)}"/>'
                )
                if name in _PATTERNED:
                    made.append(
                        f'<rect fill="url(#over-{name})" x="{x}" y="{round(y + gap, 1)}" width="{bar}" '
                        f'height="{round(tall - gap, 1)}"/>'
                    )
                if tall >= 18 and bar >= 20:
                    made.append(
                        f'<text class="in {escape(name)}" x="{x + bar / 2}" y="{round(y + tall / 2 + 5, 1)}" '
                        f'text-anchor="middle">{numbers[i]:,}</text>'
                    )
        made.append("</g>")
        if short:
            made.append(
                f'<text class="axis" x="{x + bar / 2}" y="{top + high + 22}" text-anchor="middle">{escape(short)}</text>'
            )
    made.append("</svg>")
    return Markup("".join(made))


def matrix(
    steps: Sequence[str], rows: Sequence[tuple[str, Sequence[int]]], *, label: str, wide: int = 960
) -> Markup:
    """A row for each value, a dot for each step, its area by the number, the number in it: for what may be several."""
    side = 190
    pitch = max(30, min(120, (wide - side) // max(1, len(steps))))
    tall = 40
    width, height = side + pitch * max(1, len(steps)) + 8, 12 + tall * len(rows) + 30
    most = max((n for _, numbers in rows for n in numbers), default=0) or 1
    made = [
        f'<svg class="drawn" role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-size="14">'
    ]
    for r, (name, numbers) in enumerate(rows):
        y = 12 + tall * r + tall // 2
        made.append(f'<path class="rule" d="M0 {y + tall // 2}H{width - 4}"/>')
        made.append(f'<text class="label" x="0" y="{y + 5}">{escape(name)}</text>')
        for i, n in enumerate(numbers):
            if n:
                x = side + i * pitch + pitch // 2
                radius = round(4 + 12 * sqrt(n / most), 1)
                inside = radius >= 5 + 4 * len(f"{n}")
                made.append(f'<circle class="dot" cx="{x}" cy="{y}" r="{radius}"/>')
                made.append(
                    f'<text class="in dot" x="{x}" y="{y + 5}" text-anchor="middle">{n:,}</text>'
                    if inside
                    else f'<text class="axis" x="{x + radius + 3}" y="{y + 5}">{n:,}</text>'
                )
    for i, short in enumerate(steps):
        made.append(
            f'<text class="axis" x="{side + i * pitch + pitch // 2}" y="{height - 8}" text-anchor="middle">'
            f"{escape(short)}</text>"
        )
    made.append("</svg>")
    return Markup("".join(made))


def shade(count: int, most: int) -> int:
    """0 for none, then 1 to 5: five steps, each twice the one before, the highest holding `most`."""
    if count <= 0:
        return 0
    steps = max(1, ceil(log2(most + 1) / 5))
    return min(5, 1 + int(log2(count) // steps))


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the map: its columns and rows, and how many records there are in it."""

    columns: range
    rows: range
    records: int = 0


WHOLE = Part(range(atlas.COLUMNS), range(atlas.ROWS))
NARROW = 8  # columns that a screen of 320 pixels shows at their own size


def parts(counts: Mapping[str, int]) -> list[Part]:
    """The map cut down to where there are records, with their neighbours, into as few pieces as a narrow screen can show;
    the one with most records first. None when no country has any."""
    there = sorted(
        (atlas.PLACES[c][1], atlas.PLACES[c][0], n) for c, n in counts.items() if n and c in atlas.PLACES
    )
    made: list[Part] = []
    while there:
        first = there[0][0]
        inside = [place for place in there if place[0] < first + NARROW]
        there = there[len(inside) :]
        last, rows = inside[-1][0], [row for _, row, _ in inside]
        spare = (NARROW - 1 - (last - first)) // 2
        west, east = made[-1].columns.stop if made else 0, there[0][0] if there else atlas.COLUMNS
        made.append(
            Part(
                range(max(west, first - spare), min(east, last + spare + 1)),
                range(max(0, min(rows) - 1), min(atlas.ROWS, max(rows) + 2)),
                sum(n for _, _, n in inside),
            )
        )
    return sorted(made, key=lambda part: -part.records)


def world(
    counts: Mapping[str, int],
    *,
    label: str,
    name: Callable[[str], str],
    address: Callable[[str], str],
    part: Part = WHOLE,
) -> Markup:
    """The map, or a part of it: each country a square with its code, and the number of records where there are some,
    linked to them. `name` gives what a link is called ("China: 8 incidents"), `address` where it leads."""
    tile, gap = 34, 2
    pitch = tile + gap
    width, height = len(part.columns) * pitch, len(part.rows) * pitch
    most = max((n for code, n in counts.items() if code in atlas.PLACES), default=1)
    made = [
        f'<svg class="world" role="group" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">'
    ]
    # Links come in order of reading, top to bottom, as the table beside the map has them by number.
    for code, (row, column) in sorted(atlas.PLACES.items(), key=lambda item: item[1]):
        if row not in part.rows or column not in part.columns:
            continue
        x, y, n = (column - part.columns.start) * pitch, (row - part.rows.start) * pitch, counts.get(code, 0)
        box = f'<rect x="{x + 1}" y="{y + 1}" width="{tile}" height="{tile}" rx="5"/>'
        if n:
            made.append(
                f'<a class="tile s{shade(n, most)}" href="{escape(address(code))}" '
                f'aria-label="{code} {_short(n)} · {escape(name(code))}">'
                f"{box}<title>{escape(name(code))}</title>"
                f'<text y="{y + 15}" text-anchor="middle" font-size="11"><tspan x="{x + 18}">{code}</tspan>'
                '<tspan font-size="0"> </tspan>'
                f'<tspan class="n" x="{x + 18}" dy="15" font-size="14">{_short(n)}</tspan></text></a>'
            )
        else:
            made.append(
                f'<g class="tile s0" aria-hidden="true">{box}<text x="{x + 18}" y="{y + 22}" '
                f'text-anchor="middle" font-size="11">{code}</text></g>'
            )
    made.append("</svg>")
    return Markup("".join(made))


def _short(n: int) -> str:
    """At most four characters: 999, 12k, 3M."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n // size}{unit}"
    return str(n)
