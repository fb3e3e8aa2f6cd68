"""The records that ship: what they say in both languages; each can be looked up and names what it leaves open."""

from __future__ import annotations

import pytest

from kangma.incidents.founding import records
from kangma.incidents.levels import seen_by
from kangma.incidents.record import Record
from kangma.incidents.vocabulary import Attribution, Basis, Degree, Level

RECORDS = records()
FOUNDING = next(r for r in RECORDS if r.id == "2022-04-28-jiankangbao")


def told(record: Record, tag: str) -> str:
    return " ".join(dict(w.pairs).get(tag, "") for w in (record.summary, record.description))


@pytest.mark.parametrize(
    ("zh", "en"),
    [
        ("2022 年 4 月 28 日", "28 April 2022"),
        ("使用高峰时段", "In the peak hours"),
        ("境外", "from abroad"),
        ("初步分析", "a first analysis"),
        ("服务没有中断", "the service was not interrupted"),
        ("当天的新闻发布会", "a press conference on the same day"),
        ("北京冬奥会和冬残奥会期间", "during the 2022 Winter Olympics and Paralympics"),
        (
            "健康状态、14 天行程史、核酸检测结果和疫苗接种情况",
            "travel history of 14 days, test results and vaccinations",
        ),
        ("4 月 25 日，网约车开始查验", "on 25 April, ride-hailing services had begun to check"),
        (
            "窃取居民数据、破坏疫情防控、制造混乱",
            "to harvest residents' data, to undermine containment, to cause unrest",
        ),
        ("这些只是猜测", "That is speculation"),
        ("没有点名任何行为者", "no actor was named"),
    ],
)
def test_the_founding_record_says_what_was_disclosed_and_no_more(zh: str, en: str) -> None:
    assert zh in told(FOUNDING, "zh")
    assert en in told(FOUNDING, "en")


def test_the_founding_record_is_classified_as_it_was_disclosed() -> None:
    assert FOUNDING.victim is not None
    assert (FOUNDING.victim.name, FOUNDING.victim.country) == ("健康宝", "CN")
    assert FOUNDING.date is not None
    assert FOUNDING.date.text == "2022-04-28"
    assert FOUNDING.integrity.degree is Degree.NONE
    assert FOUNDING.availability.degree is Degree.ATTEMPTED
    assert [t.id for t in FOUNDING.techniques] == ["T1498"]
    assert {m.basis for m in FOUNDING.motives} == {Basis.SPECULATED}
    assert [(a.name, a.attribution) for a in FOUNDING.actors] == [("", Attribution.NONE)]
    assert [s.url for s in FOUNDING.sources] == ["https://www.bjnews.com.cn/detail/165104479014539.html"]
    assert {n: FOUNDING.level(n) for n in ("motives", "techniques", "sources")} == dict.fromkeys(
        ("motives", "techniques", "sources"), Level.MEMBER
    )
    assert dict(seen_by(FOUNDING, member=False).hidden) == {"motives": 2, "techniques": 1, "sources": 1}


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.id)
def test_every_record_can_be_looked_up_and_says_what_it_does_not_know(record: Record) -> None:
    assert any(s.url and (s.title or s.publisher) for s in record.sources)
    assert all(s.publisher for s in record.sources)
    assert "不清楚的：" in told(record, "zh")
    assert "Not known:" in told(record, "en")
    for actor in record.actors:
        assert not actor.name or actor.by  # a name is somebody's word


def test_there_are_fifteen_and_more_beside_it() -> None:
    assert len(RECORDS) >= 16
    assert len({r.id for r in RECORDS}) == len(RECORDS)
