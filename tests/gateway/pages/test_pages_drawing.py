"""What pages draw and say, without a server: the map, the chart, the picture for sharing, words, dates, and the form."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import Maker
from PIL import Image

from kangma.errors import Refused
from kangma.gateway.register import atlas, card, drawing, editing, wording
from kangma.gateway.register.problems import BadRequest
from kangma.incidents.form import BadRecord, from_json, to_json
from kangma.incidents.founding import records
from kangma.incidents.record import FIELDS
from kangma.incidents.vocabulary import COUNTRIES, Degree, Exactness, Unit
from kangma.incidents.words import Dated


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        svg if "xmlns=" in svg else svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    )


# The map


def test_every_country_of_the_vocabulary_has_one_name_in_each_language_and_one_square() -> None:
    assert set(atlas.PLACES) == COUNTRIES
    assert set(atlas.NAMES) == COUNTRIES | {"several", "unknown"}
    assert len(set(atlas.PLACES.values())) == len(COUNTRIES)
    for axis in ("zh", "en"):
        names = [getattr(n, axis) for n in atlas.NAMES.values()]
        assert all(names)
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("west", "east"),
    [("US", "FR"), ("FR", "RU"), ("IN", "CN"), ("CN", "JP"), ("BR", "ZA"), ("CA", "GL"), ("ES", "IT")],
)
def test_countries_lie_as_they_do_on_a_globe_west_to_east(west: str, east: str) -> None:
    assert atlas.PLACES[west][1] < atlas.PLACES[east][1]


@pytest.mark.parametrize(
    ("north", "south"),
    [
        ("CA", "US"),
        ("US", "MX"),
        ("MX", "BR"),
        ("NO", "IT"),
        ("IT", "TN"),
        ("EG", "ZA"),
        ("MN", "CN"),
        ("CN", "AU"),
    ],
)
def test_countries_lie_as_they_do_on_a_globe_north_to_south(north: str, south: str) -> None:
    assert atlas.PLACES[north][0] < atlas.PLACES[south][0]


def test_a_square_with_incidents_is_a_link_that_says_how_many() -> None:
    svg = str(
        drawing.world(
            {"CN": 9, "several": 2}, label='"<&', name=lambda c: f"{c}<9>", address=lambda c: f"/x?a=1&c={c}"
        )
    )
    root = parsed(svg)
    (link,) = root.iter("{http://www.w3.org/2000/svg}a")
    assert link.get("href") == "/x?a=1&c=CN"
    assert link.get("aria-label") == "CN 9 · CN<9>"
    assert root.get("aria-label") == '"<&'
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == len(COUNTRIES)


def test_a_narrow_map_begins_where_most_incidents_are() -> None:
    """A phone held upright does not open on an empty Atlantic."""
    found = drawing.parts({"CA": 3, "DE": 4, "NL": 2, "CN": 9, "several": 50})
    assert [part.records for part in found] == [9, 6, 3]
    svg = str(drawing.world({"CN": 9}, label="map", name=str, address=str, part=found[0]))
    assert [e.get("href") for e in parsed(svg).iter("{http://www.w3.org/2000/svg}a")] == ["CN"]
    assert drawing.parts({"several": 2, "DE": 0}) == []


@given(st.dictionaries(st.sampled_from(sorted(COUNTRIES)), st.integers(1, 99)))
def test_a_narrow_map_holds_every_country_with_incidents_once_and_fits_320_pixels(
    counts: dict[str, int],
) -> None:
    found = drawing.parts(counts)
    assert len(found) <= 4
    for code in counts:
        row, column = atlas.PLACES[code]
        assert sum(row in part.rows and column in part.columns for part in found) == 1
    assert sum(part.records for part in found) == sum(counts.values())
    assert all(len(part.columns) * 36 <= 320 - 32 for part in found)
    assert [p.records for p in found] == sorted((p.records for p in found), reverse=True)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_more_incidents_are_never_drawn_lighter(a: int, b: int) -> None:
    few, many = sorted((a, b))
    assert 1 <= drawing.shade(few, many) <= drawing.shade(many, many) <= 5
    assert drawing.shade(0, many) == 0


# The chart


@given(st.integers(1, 10**8))
def test_the_axis_reaches_the_tallest_column_with_few_round_marks(most: int) -> None:
    marks = drawing.ticks(most)
    assert marks[0] == 0
    assert marks[-1] >= most
    assert len(marks) <= 6


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=40))
def test_the_height_of_a_column_is_its_number(numbers: list[tuple[int, int]]) -> None:
    steps = [(str(i), f"step <{i}>") for i in range(len(numbers))]
    root = parsed(
        str(
            drawing.columns(
                steps, [("none", [n for n, _ in numbers]), ("whole", [n for _, n in numbers])], label="x"
            )
        )
    )
    top = drawing.ticks(max(sum(n) for n in numbers) or 1)[-1]
    drawn = [
        r for r in root.iter("{http://www.w3.org/2000/svg}rect") if (r.get("class") or "").startswith("seg")
    ]
    assert len(drawn) == sum(n > 0 for pair in numbers for n in pair)
    tall = sum(float(r.get("height") or 0) for r in drawn)
    assert tall == pytest.approx(sum(map(sum, numbers)) * 240 / top, abs=1.2 * len(drawn) + 0.1)


def test_every_degree_has_a_shape_of_its_own() -> None:
    shapes = {str(drawing.shape(d)) for d in Degree}
    assert len(shapes) == len(Degree)
    for shape in shapes:
        parsed(shape)


# The picture for sharing

CARD = card.Card(
    "事件登记簿 Register", "2022年4月28日 星期四 · 北京", "北京健康宝", "早高峰时段，北京健康宝遭受来自境外的网络攻击。",
    (("unknown", "保密性", "不清楚"), ("none", "完整性", "未受损"), ("attempted", "可用性", "受到攻击，未受损")),
)  # fmt: skip


def test_the_picture_is_one_of_1200_by_630_where_there_are_fonts_for_it() -> None:
    content = card.png(CARD)
    if not card.fonts():
        assert content is None
        pytest.skip("NO FONTS HERE, so no picture was drawn: apt-get install fonts-noto-cjk")
    if content is None:
        pytest.skip("NO FONT HERE HOLDS 健康宝, so no picture was drawn: apt-get install fonts-noto-cjk")
    picture = Image.open(io.BytesIO(content))
    assert picture.size == (1200, 630)
    assert len(content) < 300_000
    assert len(set(picture.convert("RGB").resize((60, 32)).getdata())) > 20  # something is drawn


def test_without_a_font_that_holds_every_letter_there_is_no_picture_and_never_an_empty_box() -> None:
    from dataclasses import replace  # noqa: PLC0415

    assert card.png(replace(CARD, victim="\U0001d800\ue123")) is None


def test_a_machine_without_fonts_makes_no_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert card.fonts((str(tmp_path),)) == ()
    monkeypatch.setattr(card, "fonts", lambda: ())
    card.png.cache_clear()
    assert card.png(CARD) is None
    card.png.cache_clear()


@given(st.text(max_size=400), st.integers(1, 6), st.floats(10, 2_000))
def test_no_line_is_wider_than_its_room_and_none_is_too_many(text: str, most: int, width: float) -> None:
    measure = lambda s: 10.0 * len(s)  # noqa: E731
    lines = card.wrap(text, width, most, measure)
    assert len(lines) <= most
    assert all(measure(line) <= max(width, 10.0) or line == "…" for line in lines)
    if len(lines) < most and not any("…" in line for line in lines):
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_long_names_end_in_an_ellipsis_and_points_do_not_begin_a_line() -> None:
    measure = lambda s: float(len(s))  # noqa: E731
    assert card.wrap("一二三四，五六七八", 5, 2, measure) == ["一二三四，", "五六七八"]
    assert card.wrap("one two three four", 9, 1, measure) == ["one two…"]
    assert card.wrap("Donaudampfschifffahrt", 8, 2, measure) == ["Donaudam", "pfschif…"]


def test_the_svg_picture_holds_hostile_text_as_text() -> None:
    from dataclasses import replace  # noqa: PLC0415

    root = parsed(
        card.svg(replace(CARD, victim="<script>&\"'", summary="</text><a href='javascript:x'>"), "en")
    )
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= {
        "svg",
        "title",
        "rect",
        "g",
        "polygon",
        "circle",
        "polyline",
        "text",
    }


# Words, dates, numbers


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("2022", "2022年", "2022"),
        ("2022-04", "2022年4月", "April 2022"),
        ("2022-04-28", "2022年4月28日 星期四", "Thursday 28 April 2022"),
        (
            "2022-04-28T08:41:00+08:00",
            "2022年4月28日 星期四 08:41（UTC+08:00）",
            "Thursday 28 April 2022, 08:41 (UTC+08:00)",
        ),
        ("2022-01/2022-03-05", "2022年1月至2022年3月5日 星期六", "January 2022 to Saturday 5 March 2022"),
    ],
)
def test_dates_are_said_as_people_say_them(text: str, zh: str, en: str) -> None:
    assert (wording.dated(text, "zh"), wording.dated(text, "en")) == (zh, en)


def test_a_day_is_also_shown_as_its_month_and_a_month_is_not() -> None:
    assert wording.at_month(Dated.parse("2022-04-28"), "en") == "April 2022"
    assert wording.at_month(Dated.parse("2022-04"), "en") == ""
    assert wording.at_month(Dated.parse("2022-04-28/2022-04-29"), "en") == ""


def test_figures_carry_how_exact_they_are() -> None:
    assert wording.figure("1400000", Unit.PERSONS, Exactness.ABOUT, "en") == "about 1,400,000 persons"
    assert wording.figure("1400000", Unit.PERSONS, Exactness.ABOUT, "zh") == "约 1,400,000 人"
    assert wording.figure("99.5", Unit.PERCENT, Exactness.EXACT, "zh") == "99.5%"
    assert wording.figure("-3", Unit.OTHER, Exactness.EXACT, "en") == "−3"


def test_every_field_has_a_name_in_both_languages() -> None:
    for record in records():
        for path in _paths(to_json(record)):
            for lang in ("zh", "en"):
                said = wording.path(path, lang)
                assert not any(
                    part.split()[0] == path.split(".")[-1] for part in [said.split(" › ")[-1]] if lang == "zh"
                ), path


def _paths(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [
            p
            for k, v in value.items()
            if k not in ("id", "levels")
            for p in _paths(v, f"{path}.{k}" if path else k)
        ]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in _paths(v, f"{path}[{i}]")]
    return [path]


# The form


def filled(value: dict[str, Any]) -> list[tuple[str, str]]:
    """What a browser sends of the form untouched."""

    def of(items: Any) -> list[tuple[str, str]]:
        made: list[tuple[str, str]] = []
        for item in items:
            if isinstance(item, editing.Group):
                made += [(f"{item.name}.was", "1"), (f"{item.name}.keep", "1")] if item.row else []
                made += of(item.items)
            elif item.kind == "checks":
                made += [(item.name, v) for v in item.value]
            else:
                made.append((item.name, item.value.replace("\n", "\r\n")))
        return made

    return of(editing.form_of(value, "en", with_id=True))


def test_a_record_survives_the_form_that_nobody_touched() -> None:
    for record in records():
        assert from_json(editing.json_of(filled(to_json(record)))) == record


def test_so_do_records_that_chance_made() -> None:
    maker = Maker(11)
    for _ in range(200):
        record = maker.record()
        sent = filled(to_json(record))
        assert from_json(editing.json_of(sent)) == record


def test_a_row_that_is_not_kept_is_gone_and_an_empty_new_row_says_nothing() -> None:
    value = to_json(next(r for r in records() if len(r.sources) > 1))
    sent = [(n, v) for n, v in filled(value) if n != "sources[0].keep"]
    assert from_json(editing.json_of(sent)) == from_json(value | {"sources": value["sources"][1:]})
    assert len(editing.json_of(filled(value))["sources"]) == len(value["sources"])


def test_what_does_not_fit_is_marked_where_it_is_and_keeps_its_text() -> None:
    value = {
        "id": "x",
        "date": "someday",
        "victim": {"country": "Atlantis"},
        "sources": [{"title": "t", "url": "javascript:x"}],
    }
    with pytest.raises(BadRecord) as caught:
        from_json(value)
    groups = editing.form_of(value, "en", caught.value.faults, with_id=False)
    marked = {box.name: box for group in groups for box in _boxes(group) if box.faults}
    assert set(marked) == {"date", "victim.country", "sources[0].url"}
    assert marked["date"].value == "someday"
    assert editing.places(groups)["date"] == "f-date"


def _boxes(group: editing.Group) -> list[editing.Box]:
    return [b for item in group.items for b in (_boxes(item) if isinstance(item, editing.Group) else [item])]


@pytest.mark.parametrize(
    "pairs",
    [
        [("__class__", "x")], [("levels[0].x.y.z", "x")], [("victim", "x"), ("victim.name", "y")], [("date",
        "1"), ("date", "2")],
        [("sources[9999].url", "x")], [("summary.zh.x.y", "x")], [("nothing", "x")], [("sources[0]", "x")], [("", "")],
    ],
)  # fmt: skip
def test_inputs_that_no_form_has_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        editing.json_of(pairs)


def test_whatever_a_form_sends_is_a_record_or_refused() -> None:
    chance = random.Random(3)
    names = [name for name, _ in filled(to_json(records()[0]))]
    for _ in range(300):
        pairs = {
            chance.choice(names): chance.choice(("", "x", "member", "2022", "<b>", "健", "1" * 50))
            for _ in range(8)
        }
        try:
            record = from_json(editing.json_of(list(pairs.items())) | {"id": "x"})
        except Refused:
            continue
        assert set(to_json(record)) <= {*FIELDS, "id", "format", "levels"}
