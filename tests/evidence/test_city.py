"""A county has one name, however it is written."""

from __future__ import annotations

import pytest

from kangma.evidence.city import City

BEIJING = City("北京市", ("东城区", "朝阳区", "北京市海淀区"))


@pytest.mark.parametrize(
    "written", ["朝阳区", "北京市朝阳区", "北京市 朝阳区", " 北京市　朝阳区 ", "北京市北京市朝阳区"]
)
def test_a_district_is_one_with_and_without_the_city(written: str):
    assert BEIJING.in_city(written)
    assert BEIJING.county(written) == "北京市朝阳区"


def test_a_street_of_a_district_is_in_the_district():
    assert BEIJING.county("北京市 朝阳区 潘家园街道") == "北京市朝阳区"
    assert BEIJING.county("北京市市辖区海淀区") == "北京市海淀区"


def test_the_city_itself_and_an_unknown_district_of_it_are_in_the_city():
    assert BEIJING.county("北京市") == "北京市"
    assert BEIJING.county("北京市 亦庄") == "北京市亦庄"
    assert BEIJING.in_city("北京市亦庄")


@pytest.mark.parametrize(
    "elsewhere", ["吉林省长春市朝阳区", "吉林省 长春市 朝阳区", "辽宁省朝阳市双塔区", "朝阳市", ""]
)
def test_another_chaoyang_is_elsewhere(elsewhere: str):
    assert not BEIJING.in_city(elsewhere)
    assert BEIJING.county(elsewhere) == elsewhere.replace(" ", "")


def test_a_city_written_twice_is_written_once():
    assert BEIJING.county("上海市 上海市 黄浦区") == BEIJING.county("上海市黄浦区") == "上海市黄浦区"


@pytest.mark.parametrize(
    ("district", "county", "expected"),
    [
        ("朝阳区", "潘家园街道", "北京市朝阳区"),
        ("朝阳区", "北京市朝阳区", "北京市朝阳区"),
        ("朝阳区", "朝阳区", "北京市朝阳区"),
        ("北京市朝阳区", "朝阳区", "北京市朝阳区"),
        ("朝阳区", None, "北京市朝阳区"),
        ("朝阳区", "吉林省长春市朝阳区", "吉林省长春市朝阳区"),
        ("长春市", "吉林省长春市朝阳区", "吉林省长春市朝阳区"),
        ("吉林省长春市", "朝阳区", "吉林省长春市朝阳区"),
        ("宁德市", "福建省宁德市蕉城区", "福建省宁德市蕉城区"),
        ("", "福建省宁德市蕉城区", "福建省宁德市蕉城区"),
        (None, None, ""),
    ],
)
def test_the_county_of_an_area_is_found_in_either_column(
    district: str | None, county: str | None, expected: str
):
    assert BEIJING.county_of_area(district, county) == expected


def test_naming_a_county_twice_changes_nothing():
    for written in (
        "朝阳区",
        "北京市 朝阳区 潘家园街道",
        "吉林省长春市朝阳区",
        "上海市 上海市 黄浦区",
        "",
        "北京市亦庄",
    ):
        assert BEIJING.county(BEIJING.county(written)) == BEIJING.county(written)
        assert BEIJING.in_city(BEIJING.county(written)) == BEIJING.in_city(written)
