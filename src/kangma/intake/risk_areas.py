"""The official list of risk areas (JSON of the State Council's portal) → `area_lists`. See docs/formats/risk-areas.md.

That an area is missing from a list is evidence too: it ends the area. So a list is taken whole or refused whole; one
entry refused alone would read as "no longer at risk".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any, Final

import pyarrow as pa

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import Batch
from kangma.intake.kinds import KINDS
from kangma.intake.limits import Limits
from kangma.intake.messages import local_moment, parse_json, printable
from kangma.terms import DAY, Moment

ZONE: Final = "Asia/Shanghai"
# (member, its count, our level)
_LISTS: Final = (
    ("highlist", "hcount", "high"),
    ("middlelist", "mcount", "medium"),
    ("lowlist", "lcount", "low"),
)
_MUNICIPALITIES: Final = frozenset({"北京市", "天津市", "上海市", "重庆市"})
# Stands where a county belongs to no city.
_NO_CITY: Final = frozenset({"省直辖县级行政单位", "自治区直辖县级行政单位", "市辖区", "县"})
_UPDATED = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})\s+(\d{1,2})时(?:(\d{1,2})分)?", re.ASCII)

_COLUMNS: Final = ("area_id", "name", "district", "county", "level")
Row = tuple[str | None, str | None, str | None, str | None, str | None]  # one of each


def read_risk_areas(source: bytes, *, limits: Limits) -> Iterator[Batch]:
    """Batches of kind `area_lists`: a row for the list itself, with an empty area, then one a community and level.

    Raises Refused for anything that is not a complete list: unreadable, missing_value, bad_value, bad_time,
    manifest_mismatch (its own counts), value_too_long, too_many_rows and the limits of JSON.
    """
    whole = parse_json(source, limits)
    content = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(content, dict) or "end_update_time" not in content:
        raise Refused(Code.UNREADABLE, Where(path="data"), "not a list of risk areas")
    if whole.get("code", 0) not in (0, "0"):
        raise Refused(Code.UNREADABLE, Where(path="code"), "the portal answers that it failed")
    listed_at = _updated(content["end_update_time"])
    rows: list[Row] = [(None, None, None, None, None)]
    for member, count, level in _LISTS:
        if member not in content:
            # There was no list of low-risk areas before the 9th edition of the protocol, June 2022.
            if level == "low":
                continue
            raise Refused(Code.MISSING_VALUE, Where(path=f"data.{member}"), "an empty list is written as []")
        before = len(rows)
        entries = content[member]
        if not isinstance(entries, list):
            raise Refused(Code.BAD_VALUE, Where(path=f"data.{member}"), "a list")
        for i, entry in enumerate(entries):
            rows += _areas(entry, level, f"data.{member}[{i}]", limits)
            if len(rows) > limits.rows:
                raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {limits.rows} areas")
        told = content.get(count)
        if isinstance(told, int) and not isinstance(told, bool) and told != len(rows) - before:
            raise Refused(
                Code.MANIFEST_MISMATCH, Where(path=f"data.{count}"), "the list is not as long as it says"
            )
    schema = KINDS["area_lists"].schema
    for start in range(0, len(rows), limits.batch_rows):
        part = rows[start : start + limits.batch_rows]
        columns: dict[str, list[Any]] = {
            "document_id": [None] * len(part),
            "document_version": [0] * len(part),
            "listed_at": [listed_at] * len(part),
            **dict(zip(_COLUMNS, map(list, zip(*part, strict=True)), strict=True)),
        }
        yield Batch("area_lists", pa.RecordBatch.from_pydict(columns, schema=schema), None, (), len(part))


def _areas(entry: Any, level: str, path: str, limits: Limits) -> list[Row]:
    if not isinstance(entry, dict):
        raise Refused(Code.BAD_VALUE, Where(path=path), "an object")
    province, city, county = (
        _text(entry.get(k), f"{path}.{k}", limits) for k in ("province", "city", "county")
    )
    communities = entry.get("communitys")
    if not isinstance(communities, list) or not communities:
        raise Refused(Code.MISSING_VALUE, Where(path=f"{path}.communitys"), "at least one community")
    canonical, district = county_of(province, city, county)
    inside = area_id(province, city, county, "")
    made: list[Row] = []
    for i, each in enumerate(communities):
        community = _text(each, f"{path}.communitys[{i}]", limits)
        made.append((inside + community, community, district, canonical, level))
    return made


def area_id(province: str, city: str, county: str, community: str) -> str:
    """A community's stable key: the four names joined by "/". A "/" in a community's own name stays, as the last part
    is everything after the third; in the others it becomes "／"."""
    return "/".join([*(part.replace("/", "／") for part in (province, city, county)), community])


def county_of(province: str, city: str, county: str) -> tuple[str, str]:
    """(canonical county, its own name): ("北京市朝阳区", "朝阳区"), ("河北省廊坊市安次区", "安次区").

    For Beijing the list names the district as city and the subdistrict as county; the other municipalities name
    themselves as city. A name that repeats the one before it, or that stands for "no city", is left out.
    """
    if province in _MUNICIPALITIES and city != province and city not in _NO_CITY:
        return province + city, city
    names = [province]
    for name in (city, county):
        if name != names[-1] and name not in _NO_CITY:
            names.append(name)
    return "".join(names), names[-1]


def _updated(value: Any) -> Moment:
    where = Where(path="data.end_update_time")
    found = _UPDATED.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise Refused(Code.BAD_TIME, where, "as in 2022-04-15 11时")
    year, month, day, hour, minute = (int(part or 0) for part in found.groups())
    try:
        if not 2000 <= year <= 2100:
            raise ValueError("a list of another age")
        # 24时 is midnight at the end of the day.
        at = local_moment(date(year, month, day), time(0 if hour == 24 else hour, minute), None, ZONE)
    except ValueError:
        raise Refused(Code.BAD_TIME, where, "no such hour") from None
    return at + (DAY if hour == 24 else 0)


def _text(value: Any, path: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise Refused(Code.BAD_VALUE, Where(path=path), "a text")
    if len(value) > limits.value_bytes:  # before it is looked at; in bytes below
        raise Refused(Code.VALUE_TOO_LONG, Where(path=path), f"at most {limits.value_bytes} bytes")
    text = printable(value)
    if not text:
        raise Refused(Code.MISSING_VALUE, Where(path=path), "a name")
    if len(text.encode()) > limits.value_bytes:
        raise Refused(Code.VALUE_TOO_LONG, Where(path=path), f"at most {limits.value_bytes} bytes")
    return text
