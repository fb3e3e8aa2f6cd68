"""The official risk-area list: what a list says, what its silence says, and all 561 lists of 2022."""

from __future__ import annotations

import csv
import json
import os
import random
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiled import ends, mutated, reshaped

from kangma.errors import Code, Refused
from kangma.intake.kinds import KINDS
from kangma.intake.limits import DEFAULT, Limits
from kangma.intake.risk_areas import area_id, county_of, read_risk_areas
from kangma.terms import moment

OFFICIAL = (
    Path(os.environ.get("KANGMA_DATA", Path(__file__).parents[3] / "shared" / "data")) / "china_risk_areas"
)
real = pytest.mark.skipif(not OFFICIAL.exists(), reason="the official lists are not here (KANGMA_DATA)")


def entry(province: str, city: str, county: str, *communities: str) -> dict[str, Any]:
    return {
        "type": "2",
        "province": province,
        "city": city,
        "county": county,
        "communitys": list(communities),
    }


def listing(**members: Any) -> dict[str, Any]:
    content = {"end_update_time": "2022-04-24 16时", "highlist": [], "middlelist": [], **members}
    return {"data": content, "code": 0, "msg": ""}


def rows(source: bytes, limits: Limits = DEFAULT) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in read_risk_areas(source, limits=limits):
        assert batch.kind == "area_lists"
        assert batch.accepted.schema == KINDS["area_lists"].schema
        assert batch.received == batch.accepted.num_rows + len(batch.refused)
        assert batch.secrets is None
        found += batch.accepted.to_pylist()
    return found


def read(**members: Any) -> list[dict[str, Any]]:
    return rows(json.dumps(listing(**members)).encode())


def refusal(**members: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read(**members)
    return caught.value


def test_a_community_in_beijing_is_listed_under_its_district() -> None:
    found = read(highlist=[entry("北京市", "朝阳区", "潘家园街道", "松榆里社区")])
    assert found[1] == {
        "document_id": None,
        "document_version": 0,
        "listed_at": moment("2022-04-24T16:00:00+08:00"),
        "area_id": "北京市/朝阳区/潘家园街道/松榆里社区",
        "name": "松榆里社区",
        "district": "朝阳区",
        "county": "北京市朝阳区",
        "level": "high",
    }


def test_an_empty_list_is_evidence_that_nothing_is_listed() -> None:
    (only,) = read()
    assert only["listed_at"] == moment("2022-04-24T16:00:00+08:00")
    assert all(only[k] is None for k in ("area_id", "name", "district", "county", "level"))


@pytest.mark.parametrize(
    ("names", "county", "district"),
    [
        (("北京市", "朝阳区", "潘家园街道"), "北京市朝阳区", "朝阳区"),
        (("上海市", "上海市", "浦东新区"), "上海市浦东新区", "浦东新区"),
        (("重庆市", "重庆市", "云阳县"), "重庆市云阳县", "云阳县"),
        (("河北省", "廊坊市", "安次区"), "河北省廊坊市安次区", "安次区"),
        (("广东省", "东莞市", "大朗镇"), "广东省东莞市大朗镇", "大朗镇"),
        (("福建省", "平潭综合实验区", "平潭综合实验区"), "福建省平潭综合实验区", "平潭综合实验区"),
        (("海南省", "省直辖县级行政单位", "文昌市"), "海南省文昌市", "文昌市"),
        (("海南省", "儋州市", "市辖区"), "海南省儋州市", "儋州市"),
        (
            ("新疆生产建设兵团", "新疆生产建设兵团", "新疆生产建设兵团"),
            "新疆生产建设兵团",
            "新疆生产建设兵团",
        ),
    ],
)
def test_every_county_has_one_name(names: tuple[str, str, str], county: str, district: str) -> None:
    assert county_of(*names) == (county, district)


def test_low_risk_areas_are_taken_where_the_list_has_them() -> None:
    found = read(lowlist=[entry("西藏自治区", "拉萨市", "城关区", "其他区域")])
    assert [r["level"] for r in found[1:]] == ["low"]


def test_one_community_on_two_levels_is_two_rows() -> None:
    """The official lists do this 28 times; which level counts is the policy's question."""
    both = entry("山东省", "菏泽市", "曹县", "某村")
    assert [r["level"] for r in read(highlist=[both], middlelist=[both])[1:]] == ["high", "medium"]


def test_spaces_around_a_name_do_not_make_another_area() -> None:
    found = read(highlist=[entry("山东省", "菏泽市", "曹县", " 某村 ")])
    assert found[1]["area_id"] == "山东省/菏泽市/曹县/某村"


def test_midnight_may_be_written_as_24() -> None:
    assert read(end_update_time="2022-04-24 24时")[0]["listed_at"] == moment("2022-04-25T00:00:00+08:00")


@pytest.mark.parametrize(
    ("members", "code", "path"),
    [
        ({"end_update_time": "yesterday"}, Code.BAD_TIME, "data.end_update_time"),
        ({"end_update_time": "2022-02-30 9时"}, Code.BAD_TIME, "data.end_update_time"),
        ({"end_update_time": "2022-04-24 25时"}, Code.BAD_TIME, "data.end_update_time"),
        ({"end_update_time": 20220424}, Code.BAD_TIME, "data.end_update_time"),
        ({"highlist": None}, Code.BAD_VALUE, "data.highlist"),
        ({"highlist": [None]}, Code.BAD_VALUE, "data.highlist[0]"),
        (
            {"highlist": [entry("", "朝阳区", "潘家园街道", "x")]},
            Code.MISSING_VALUE,
            "data.highlist[0].province",
        ),
        (
            {"highlist": [entry("北京市", "朝阳区", "潘家园街道")]},
            Code.MISSING_VALUE,
            "data.highlist[0].communitys",
        ),
        (
            {"highlist": [entry("北京市", "朝阳区", "潘家园街道", " ")]},
            Code.MISSING_VALUE,
            "data.highlist[0].communitys[0]",
        ),
        (
            {"middlelist": [entry("北京市", "朝阳区", "x" * 5_000, "y")]},
            Code.VALUE_TOO_LONG,
            "data.middlelist[0].county",
        ),
        ({"hcount": 1}, Code.MANIFEST_MISMATCH, "data.hcount"),
    ],
)
def test_a_list_with_a_fault_is_refused_whole_since_absence_would_end_an_area(
    members: dict[str, Any], code: Code, path: str
) -> None:
    problem = refusal(**members)
    assert (problem.code, problem.where.path) == (code, path)


def test_a_list_without_its_high_areas_is_no_list() -> None:
    whole = listing()
    del whole["data"]["highlist"]
    with pytest.raises(Refused) as caught:
        rows(json.dumps(whole).encode())
    assert caught.value.code is Code.MISSING_VALUE


HOSTILE = {
    "nothing": (b"", Code.UNREADABLE),
    "another document": (b'{"resourceType": "Bundle"}', Code.UNREADABLE),
    "a failed answer": (
        b'{"data": {"end_update_time": "2022-04-24 16\\u65f6"}, "code": 500}',
        Code.UNREADABLE,
    ),
    "not UTF-8": ('{"data": "北京"}'.encode("gb18030"), Code.NOT_UTF8),
    "nested 100,000 deep": (b"[" * 100_000 + b"]" * 100_000, Code.TOO_DEEP),
    "nested and never closed": (b'{"a":' * 100_000, Code.TOO_DEEP),
    "many digits": (b'{"data": ' + b"9" * 10_000 + b"}", Code.TOO_MANY_DIGITS),
    "many digits in a fraction": (b'{"data": 0.' + b"9" * 10_000 + b"}", Code.TOO_MANY_DIGITS),
    "a name twice": (b'{"data": {}, "data": {}}', Code.UNREADABLE),
    "not a number": (b'{"data": NaN}', Code.UNREADABLE),
    "cut off": (json.dumps(listing()).encode()[:-9], Code.UNREADABLE),
    "a string of ten megabytes": (
        json.dumps(listing(highlist=[entry("北京市", "朝阳区", "潘", "x" * 10_000_000)])).encode(),
        Code.VALUE_TOO_LONG,
    ),
    "a half character": (
        b'{"data": {"end_update_time": "2022-04-24 16\\u65f6", "highlist": [{"province": "\\ud800"}]}}',
        Code.MISSING_VALUE,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_get_their_code(name: str) -> None:
    source, code = HOSTILE[name]
    with pytest.raises(Refused) as caught:
        rows(source)
    assert caught.value.code is code


def test_a_list_is_bounded_in_bytes_and_rows() -> None:
    many = [entry("北京市", "朝阳区", "潘家园街道", *(f"社区{i}" for i in range(50)))]
    with pytest.raises(Refused, match="too_many_rows"):
        rows(json.dumps(listing(highlist=many)).encode(), Limits(rows=10))
    with pytest.raises(Refused, match="too_many_bytes"):
        rows(json.dumps(listing(highlist=many)).encode(), Limits(message_bytes=100))
    assert len(rows(json.dumps(listing(highlist=many)).encode(), Limits(batch_rows=7))) == 51


NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=6)


@given(NAMES, NAMES, NAMES, st.text(min_size=1, max_size=9).filter(str.strip))
def test_two_areas_never_share_a_key(province: str, city: str, county: str, community: str) -> None:
    assert area_id(province, city, county, community).split("/", 3) == [province, city, county, community]
    assert area_id(province + "/" + city, "", county, community) != area_id(
        province, city, "/" + county, community
    )


PIECES = [b"[", b"{", b'"', b"\\", b"null", b"1e9", b'\\ud83d"', b",,", b"-", "时".encode()]
SEED = listing(
    hcount=2,
    highlist=[entry("北京市", "朝阳区", "潘家园街道", "松榆里社区", "松榆东里社区")],
    lowlist=[entry("西藏自治区", "拉萨市", "城关区", "其他区域")],
)


def survives(rounds: int, seed: int, slowest: float | None = None) -> Counter[str]:
    dice = random.Random(seed)
    text = json.dumps(SEED, ensure_ascii=False).encode()
    sources = (
        mutated(text, dice, PIECES) if i % 3 == 0 else json.dumps(reshaped(SEED, dice)).encode()
        for i in range(rounds)
    )
    return ends(sources, lambda source: ["accepted"] * len(rows(source)), slowest)


def test_two_thousand_spoiled_lists_end_in_rows_or_a_refusal() -> None:
    found = survives(2_000, seed=20220424)
    assert found["accepted"] > 500
    assert len(found) >= 7, found


@pytest.mark.prove
def test_two_hundred_thousand_spoiled_lists_end_within_a_tenth_of_a_second_each() -> None:
    survives(200_000, seed=1, slowest=0.1)


# -------------------------------------------------------------------------------------------- the real lists


@dataclass(frozen=True)
class Listed:
    """One official list, as taken."""

    at: int
    rows: int
    levels: set[str | None]
    beijing: set[tuple[str, str]]  # (level, area)


def listed(source: bytes) -> Listed:
    (batch,) = read_risk_areas(source, limits=DEFAULT)
    levels, areas, counties = (batch.accepted[c].to_pylist() for c in ("level", "area_id", "county"))
    named = zip(levels, areas, counties, strict=True)
    return Listed(
        at=batch.accepted["listed_at"][0].as_py(),
        rows=batch.accepted.num_rows,
        levels=set(levels),
        beijing={(level, area) for level, area, county in named if (county or "").startswith("北京市")},
    )


def archive() -> Iterator[tuple[str, bytes]]:
    with tarfile.open(OFFICIAL / "all_snapshots.tar.xz") as packed:
        files = {m.name.rsplit("/", 1)[-1]: packed.extractfile(m).read() for m in packed if m.isfile()}  # type: ignore[union-attr]
    yield from sorted(files.items())


@pytest.fixture(scope="module")
def lists() -> list[Listed]:
    return [listed(source) for _, source in archive()]


@real
@pytest.mark.real_data
def test_all_561_official_lists_are_taken_whole(lists: list[Listed]) -> None:
    assert len(lists) == 561
    assert not any("low" in one.levels for one in lists[:309])
    assert sum("low" in one.levels for one in lists[309:]) > 200
    assert sum(one.rows for one in lists) == 555_905


@real
@pytest.mark.real_data
def test_the_beijing_intervals_are_those_that_others_derived(lists: list[Listed]) -> None:
    """A run of lists that name an area at a level is an interval: 231, list by list, as published.

    Evidence knows lists by their hour, and 23 hours carry two or three lists. There the union counts, so that three
    areas that one of two lists of the same hour leaves out do not end and begin again: 228.
    """
    in_order = [(one.at, one.beijing) for one in lists]
    with (OFFICIAL / "beijing_intervals.csv").open(encoding="utf-8-sig", newline="") as file:
        published = list(csv.DictReader(file))
    assert len(published) == 231
    assert intervals(in_order) == Counter(
        (
            {"middle": "medium"}.get(row["level"], row["level"]),
            area_id(row["province"], row["district"], row["subdistrict"], row["community"].strip()),
            *(
                int(datetime.fromisoformat(row[k]).timestamp()) if row[k] else None
                for k in ("first_listed", "last_listed", "first_absent")
            ),
        )
        for row in published
    )
    by_hour: dict[int, set[tuple[str, str]]] = {}
    for at, named in in_order:
        by_hour.setdefault(at, set()).update(named)
    assert len(by_hour) == 535
    assert intervals(sorted(by_hour.items())).total() == 228


def intervals(in_order: list[tuple[int, set[tuple[str, str]]]]) -> Counter[tuple[Any, ...]]:
    """(level, area, first listed, last listed, first absent or None) of every run."""
    found = Counter[tuple[Any, ...]]()
    for key in {k for _, named in in_order for k in named}:
        run: list[int] = []
        for at, named in in_order:
            if key in named:
                run.append(at)
            elif run:
                found[(*key, run[0], run[-1], at)] += 1
                run = []
        if run:
            found[(*key, run[0], run[-1], None)] += 1
    return found


@real
@pytest.mark.real_data
def test_the_plain_samples_say_what_the_archive_says() -> None:
    samples = sorted((OFFICIAL / "beijing_samples").glob("*.json"))
    assert len(samples) == 3
    packed = dict(archive())
    for sample in samples:
        assert rows(sample.read_bytes()) == rows(packed[sample.name])
