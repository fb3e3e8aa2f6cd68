"""What pages, feeds and terminals say of a record: its headline, and what is there for members."""

from __future__ import annotations

from collections.abc import Mapping

from kangma.incidents.levels import Seen
from kangma.terms import Text

#: Field → its name for people: one of it, many of it.
NAMES: Mapping[str, tuple[Text, Text]] = {
    name: (Text(zh, one), Text(zh, many))
    for name, zh, one, many in (
        ("certainty", "确定程度", "certainty", "certainties"),
        ("kinds", "事件类型", "kind", "kinds"),
        ("victim", "受害者", "victim", "victims"),
        ("date", "日期", "date", "dates"),
        ("location", "地点", "place", "places"),
        ("summary", "摘要", "summary", "summaries"),
        ("description", "详述", "description", "descriptions"),
        ("confidentiality", "保密性", "effect on confidentiality", "effects on confidentiality"),
        ("integrity", "完整性", "effect on integrity", "effects on integrity"),
        ("availability", "可用性", "effect on availability", "effects on availability"),
        ("motives", "动机", "motive", "motives"),
        ("techniques", "技术手段", "technique", "techniques"),
        ("actors", "行为者", "actor", "actors"),
        ("impact", "影响数字", "impact figure", "impact figures"),
        ("kept_working", "未受影响的部分", "part that kept working", "parts that kept working"),
        ("actions", "处置措施", "action", "actions"),
        ("related", "相关事件", "related incident", "related incidents"),
        ("sources", "来源", "source", "sources"),
        ("picture", "图片", "picture", "pictures"),
    )
}


def for_members(seen: Seen) -> Text | None:
    """`2 motives, 1 technique, 1 source: for members`; None when nothing is hidden from this viewer."""
    if not seen.hidden:
        return None
    zh = "、".join(f"{n} 项{NAMES[name][0].zh}" for name, n in seen.hidden.items())
    en = ", ".join(f"{n} {NAMES[name][n != 1].en}" for name, n in seen.hidden.items())
    return Text(f"{zh}：仅会员可见", f"{en}: for members")


def victim_name(seen: Seen, tag: str) -> str:
    """The victim in that language, its own name otherwise; "" when it is not shown."""
    victim = seen.record.victim
    return victim.names.get(tag) or victim.name or victim.names.best(tag) if victim else ""


def headline(seen: Seen) -> Text:
    """Victim and date: what a record is called in lists, feeds and bundles."""

    def of(tag: str, nobody: str, never: str) -> str:
        return f"{victim_name(seen, tag) or nobody}, {seen.record.date or never}"

    return Text(
        of("zh", "受害者不公开", "日期不公开").replace(", ", "，"),
        of("en", "victim not shown", "date not shown"),
    )
