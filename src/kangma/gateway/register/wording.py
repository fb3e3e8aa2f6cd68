"""What pages call things: the terms of the vocabulary, dates and numbers, written in Chinese and in English.

Nothing here is HTML. Every function takes the language as `zh` or `en`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum

from kangma.errors import Code, Refused
from kangma.gateway.register import atlas
from kangma.incidents import attack
from kangma.incidents.life import Act, Change, Happening, Right, Role, State
from kangma.incidents.reading import NAMES
from kangma.incidents.vocabulary import (
    ActorType,
    Attribution,
    Basis,
    Certainty,
    Confidence,
    Degree,
    Exactness,
    Kind,
    Level,
    Licence,
    Organisation,
    Relation,
    Reliability,
    Sector,
    Term,
    Unit,
)
from kangma.incidents.words import Dated, Precision
from kangma.terms import Moment, Text

LANGUAGES = ("zh", "en")


def _terms(kind: type[StrEnum], *said: tuple[str, str, str]) -> dict[StrEnum, Text]:
    made = {kind(value): Text(zh, en) for value, zh, en in said}
    assert len(made) == len(kind), kind
    return made


#: Vocabulary → term → what people call it. Complete: a term without words does not start.
TERMS: Mapping[type[StrEnum], Mapping[StrEnum, Text]] = {
    Certainty: _terms(
        Certainty,
        ("confirmed", "已确认", "Confirmed"),
        ("suspected", "疑似", "Suspected"),
        ("near-miss", "险情，未造成后果", "Near miss"),
        ("false-alarm", "误报", "False alarm"),
        ("unknown", "不清楚", "Not known"),
    ),
    Kind: _terms(
        Kind,
        ("denial-of-service", "拒绝服务攻击", "Denial of service"),
        ("unauthorised-access", "越权访问", "Unauthorised access"),
        ("enumeration", "逐个试探读取", "Enumeration of records"),
        ("stolen-credentials", "盗用账号", "Stolen credentials"),
        ("forgery", "伪造", "Forgery"),
        ("malware", "恶意软件", "Malware"),
        ("deception", "欺骗", "Deception of people"),
        ("misuse", "滥用职权", "Misuse by insiders"),
        ("purpose-change", "挪作他用", "Change of purpose"),
        ("exposure", "数据暴露", "Data left open"),
        ("overload", "访问过载", "Overload"),
        ("programming-error", "程序错误", "Programming error"),
        ("configuration-error", "配置错误", "Configuration error"),
        ("data-error", "数据差错", "Data error"),
        ("theft", "失窃", "Theft"),
        ("other", "其他", "Other"),
        ("unknown", "不清楚", "Not known"),
    ),
    Organisation: _terms(
        Organisation,
        ("national-government", "国家机关", "National government"),
        ("regional-government", "省级（州级）机关", "Regional government"),
        ("local-government", "市县机关", "Local government"),
        ("public-service", "受政府委托的公共服务", "Public service"),
        ("international", "国际组织", "International organisation"),
        ("company", "企业", "Company"),
        ("laboratory", "检测机构", "Laboratory"),
        ("hospital", "医院", "Hospital"),
        ("non-profit", "非营利组织", "Non-profit organisation"),
        ("event", "活动主办方", "Event"),
        ("other", "其他", "Other"),
        ("unknown", "不清楚", "Not known"),
    ),
    Sector: _terms(
        Sector,
        ("public-health", "公共卫生", "Public health"),
        ("health-care", "医疗", "Health care"),
        ("public-administration", "公共管理", "Public administration"),
        ("justice", "司法", "Justice"),
        ("social-services", "社会服务", "Social services"),
        ("education", "教育", "Education"),
        ("information", "信息", "Information"),
        ("finance", "金融", "Finance"),
        ("transport", "交通运输", "Transport"),
        ("energy", "能源", "Energy"),
        ("manufacturing", "制造", "Manufacturing"),
        ("trade", "商贸", "Trade"),
        ("professional", "专业服务", "Professional services"),
        ("hospitality", "住宿餐饮", "Hospitality"),
        ("sport-and-culture", "文化体育", "Sport and culture"),
        ("agriculture", "农业", "Agriculture"),
        ("construction", "建筑", "Construction"),
        ("other", "其他", "Other"),
        ("unknown", "不清楚", "Not known"),
    ),
    Degree: _terms(
        Degree,
        ("none", "未受损", "Unharmed"),
        ("attempted", "受到攻击，未受损", "Attempted, it held"),
        ("partial", "部分受损", "Partly harmed"),
        ("whole", "全部受损", "Wholly harmed"),
        ("unknown", "不清楚", "Not known"),
    ),
    Term: _terms(
        Term,
        ("convenience", "图方便", "Convenience"),
        ("espionage", "窃取情报", "Espionage"),
        ("fear", "出于恐惧", "Fear"),
        ("financial", "牟利", "Financial gain"),
        ("fun", "取乐、好奇", "Fun or curiosity"),
        ("grudge", "泄愤", "Grudge"),
        ("ideology", "主张、抗议", "Ideology or protest"),
        ("none", "没有动机", "No motive"),
        ("secondary", "为攻击他人作跳板", "Means to another end"),
        ("other", "其他", "Other"),
        ("unknown", "不清楚", "Not known"),
    ),
    Confidence: _terms(
        Confidence,
        ("high", "把握高", "high confidence"),
        ("medium", "把握中等", "medium confidence"),
        ("low", "把握低", "low confidence"),
        ("none", "没有依据", "no evidence"),
        ("unknown", "把握不清楚", "confidence not stated"),
    ),
    Basis: _terms(
        Basis,
        ("claimed", "行为者自称", "claimed by the actor"),
        ("assessed", "调查者判断", "assessed by investigators"),
        ("speculated", "猜测", "speculated"),
    ),
    ActorType: _terms(
        ActorType,
        ("insider", "内部人员", "Insider"),
        ("official", "公职人员", "Public official"),
        ("partner", "合作方", "Partner"),
        ("activist", "抗议者", "Activist"),
        ("competitor", "竞争者", "Competitor"),
        ("customer", "用户", "Customer"),
        ("former-employee", "前雇员", "Former employee"),
        ("organised-crime", "犯罪团伙", "Organised crime"),
        ("nation-state", "国家", "Nation state"),
        ("state-affiliated", "有国家背景者", "State-affiliated group"),
        ("terrorist", "恐怖分子", "Terrorist"),
        ("researcher", "安全研究者", "Researcher"),
        ("unaffiliated", "无所属个人", "Unaffiliated person"),
        ("nobody", "无人所为", "Nobody"),
        ("other", "其他", "Other"),
        ("unknown", "不清楚", "Not known"),
    ),
    Attribution: _terms(
        Attribution,
        ("none", "未作归因", "not attributed"),
        ("claimed", "本人承认", "by their own account"),
        ("suspected", "有嫌疑", "suspected"),
        ("attributed", "已认定", "attributed"),
        ("convicted", "已判决", "convicted"),
    ),
    Unit: _terms(
        Unit,
        ("persons", "人", "persons"),
        ("records", "条记录", "records"),
        ("certificates", "份证明", "certificates"),
        ("results", "份结果", "results"),
        ("sources", "个来源地址", "source addresses"),
        ("requests", "次请求", "requests"),
        ("requests/min", "次请求/分钟", "requests a minute"),
        ("times-usual", "倍于平时", "times the usual"),
        ("events", "起", "events"),
        ("seconds", "秒", "seconds"),
        ("minutes", "分钟", "minutes"),
        ("hours", "小时", "hours"),
        ("days", "天", "days"),
        ("bytes", "字节", "bytes"),
        ("percent", "%", "per cent"),
        ("CNY", "元人民币", "CNY"),
        ("EUR", "欧元", "EUR"),
        ("GBP", "英镑", "GBP"),
        ("USD", "美元", "USD"),
        ("other", "", ""),
    ),
    Exactness: _terms(
        Exactness,
        ("exact", "", ""),
        ("about", "约", "about"),
        ("at-least", "至少", "at least"),
        ("at-most", "至多", "at most"),
        ("claimed", "据称", "claimed:"),
    ),
    Relation: _terms(
        Relation,
        ("related", "相关", "Related"),
        ("same-campaign", "同一系列", "Same campaign"),
        ("led-to", "导致", "Led to"),
        ("duplicate-of", "重复于", "Duplicate of"),
    ),
    Reliability: _terms(
        Reliability,
        ("A", "A 级：完全可靠", "A: completely reliable"),
        ("B", "B 级：通常可靠", "B: usually reliable"),
        ("C", "C 级：比较可靠", "C: fairly reliable"),
        ("D", "D 级：通常不可靠", "D: not usually reliable"),
        ("E", "E 级：不可靠", "E: unreliable"),
        ("F", "F 级：无法判断", "F: cannot be judged"),
    ),
    Licence: _terms(
        Licence,
        ("own", "本登记簿自有", "this register’s own"),
        ("CC0-1.0", "CC0 1.0", "CC0 1.0"),
        ("CC-BY-4.0", "CC BY 4.0", "CC BY 4.0"),
        ("CC-BY-SA-4.0", "CC BY-SA 4.0", "CC BY-SA 4.0"),
        ("public-domain", "公有领域", "public domain"),
        ("permitted", "经许可使用", "used with permission"),
    ),
    Level: _terms(Level, ("public", "公开", "Everybody"), ("member", "仅会员", "Members only")),
    State: _terms(
        State,
        ("draft", "草稿", "Draft"),
        ("in-review", "审核中", "In review"),
        ("approved", "已核准，待发布", "Approved, not yet published"),
        ("published", "已发布", "Published"),
        ("discarded", "已弃用", "Discarded"),
    ),
    Change: _terms(
        Change,
        ("first", "首次发布", "First published"),
        ("correction", "更正", "Correction"),
        ("withdrawal", "撤回", "Withdrawal"),
    ),
    Act: _terms(
        Act,
        ("open", "开启", "opened"),
        ("edit", "编辑", "edited"),
        ("submit", "送审", "submitted"),
        ("return", "退回", "returned"),
        ("approve", "核准", "approved"),
        ("publish", "发布", "published"),
        ("discard", "弃用", "discarded"),
    ),
    Role: _terms(
        Role,
        ("reader", "读者", "Reader"),
        ("editor", "编辑", "Editor"),
        ("reviewer", "审核者", "Reviewer"),
        ("administrator", "管理员", "Administrator"),
    ),
    Right: _terms(
        Right,
        ("read", "看仅会员可见的内容", "See what is for members"),
        ("write", "起草和编辑", "Draft and edit"),
        ("review", "审核", "Review"),
        ("publish", "发布", "Publish"),
        ("signal", "报告信号，开启草稿", "Report signals, which open drafts"),
        ("accounts", "管理账号", "Manage accounts"),
    ),
    Happening: _terms(
        Happening,
        ("made", "开设账号", "Account made"),
        ("invited", "邀请登记第一个通行密钥", "Invited to its first passkey"),
        ("invited-anew", "再次邀请，须第二位管理员同意", "Invited anew, for a second administrator to agree"),
        (
            "invited-anew-alone",
            "再次邀请，由唯一的管理员单独决定",
            "Invited anew, by the only administrator alone",
        ),
        ("agreed", "第二位管理员同意再次邀请", "The second administrator agreed to the invitation"),
        ("enrolled", "用邀请登记了第一个通行密钥", "First passkey enrolled, by invitation"),
        ("enrolled-anew", "用再次邀请登记了一个通行密钥", "A passkey enrolled by the further invitation"),
        ("enrolled-another", "登录后登记了又一个通行密钥", "Another passkey enrolled, signed in"),
        ("passkey-closed", "关闭了一个通行密钥", "A passkey closed"),
        ("token-made", "制作了一个令牌", "A token made"),
        ("token-closed", "关闭了一个令牌", "A token closed"),
        ("administrator-made", "开设了一个管理员账号", "An administrator’s account made"),
        ("closed", "关闭账号", "Account closed"),
    ),
}

#: Facet → (its name, the vocabulary of its values or None).
FACETS: Mapping[str, tuple[Text, type[StrEnum] | None]] = {
    "country": (Text("国家和地区", "Country"), None),
    "sector": (Text("行业", "Sector"), Sector),
    "organisation": (Text("机构类型", "Kind of organisation"), Organisation),
    "kind": (Text("事件类型", "Kind of incident"), Kind),
    "availability": (Text("可用性", "Availability"), Degree),
    "integrity": (Text("完整性", "Integrity"), Degree),
    "confidentiality": (Text("保密性", "Confidentiality"), Degree),
    "motive": (Text("动机", "Motive"), Term),
    "technique": (Text("技术手段", "Technique"), None),
    "actor": (Text("行为者", "Actor"), ActorType),
    "year": (Text("年份", "Year"), None),
    "certainty": (Text("确定程度", "Certainty"), Certainty),
    "victim": (Text("受害者", "Victim"), None),
}

_WEEKDAYS = {
    "zh": ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"],
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
}
_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip


def pick(text: Text, lang: str) -> str:
    return text.zh if lang == "zh" else text.en


def term(value: StrEnum, lang: str) -> str:
    """What people call a term of any vocabulary of the register."""
    return pick(TERMS[type(value)][value], lang)


def facet(name: str, lang: str) -> str:
    return pick(FACETS[name][0], lang)


def facet_value(name: str, value: str, lang: str) -> str:
    """A value of a facet for people; a value that its vocabulary does not have stands as it is."""
    if name == "country":
        return pick(atlas.name(value), lang)
    if name == "technique":
        entry = attack.TABLE.get(value)
        return f"{value} {entry.name}" if entry else value
    vocabulary = FACETS[name][1]
    if vocabulary is not None and value in set(vocabulary):
        return term(vocabulary(value), lang)
    return value


def month(year: int, number: int, lang: str) -> str:
    return f"{year}年{number}月" if lang == "zh" else f"{_MONTHS[number - 1]} {year}"


def _day(day: date, lang: str, *, weekday: bool) -> str:
    name = _WEEKDAYS[lang][day.weekday()] if weekday else ""
    if lang == "zh":
        return f"{day.year}年{day.month}月{day.day}日{f' {name}' if name else ''}"
    return f"{f'{name} ' if name else ''}{day.day} {_MONTHS[day.month - 1]} {day.year}"


_CLOCK = re.compile(r"T(\d{2}:\d{2})(?::\d{2})?(Z|[+-]\d{2}:\d{2})")


def _one(text: str, lang: str, *, weekday: bool) -> str:
    dated = Dated.parse(text)
    if dated.precision is Precision.YEAR:
        return f"{text}年" if lang == "zh" else text
    if dated.precision is Precision.MONTH:
        return month(dated.first.year, dated.first.month, lang)
    said = _day(dated.first, lang, weekday=weekday)
    if clock := _CLOCK.search(text):
        zone = "UTC" if clock[2] == "Z" else f"UTC{clock[2]}"
        said += f" {clock[1]}（{zone}）" if lang == "zh" else f", {clock[1]} ({zone})"
    return said


def dated(when: Dated | str, lang: str, *, weekday: bool = True) -> str:
    """A date as exactly as it is known and no finer: `Thursday 28 April 2022`, `April 2022`, a range with both ends."""
    start, slash, end = str(when).partition("/")
    said = _one(start, lang, weekday=weekday)
    if not slash:
        return said
    upto = _one(end, lang, weekday=weekday)
    return f"{said}至{upto}" if lang == "zh" else f"{said} to {upto}"


def at_month(when: Dated, lang: str) -> str:
    """The same date at the precision of a month; "" where it is no finer than that."""
    if when.precision not in (Precision.DAY, Precision.TIME):
        return ""
    return dated(when.at(Precision.MONTH), lang)


def moment(at: Moment, lang: str) -> str:
    """An instant, in UTC."""
    when = datetime.fromtimestamp(at, UTC)
    clock = f"{when:%H:%M}"
    return (
        f"{_day(when.date(), lang, weekday=False)} {clock}（UTC）"
        if lang == "zh"
        else f"{_day(when.date(), lang, weekday=False)}, {clock} UTC"
    )


def iso(at: Moment) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: str | int) -> str:
    """A decimal number with its thousands apart: 1,400,000."""
    whole, point, rest = str(value).partition(".")
    sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{rest}" if digits.isdigit() else str(value)


def figure(value: str, unit: Unit, exactness: Exactness, lang: str) -> str:
    """`about 1,400,000 persons`, `约 1,400,000 人`."""
    parts = [term(exactness, lang), number(value), term(unit, lang)]
    if unit is Unit.PERCENT and lang == "zh":
        return f"{parts[0]} {number(value)}%".strip()
    return " ".join(p for p in parts if p)


def counted(n: int, one: str, many: str) -> str:
    """English only: `1 incident`, `27 incidents`."""
    return f"{number(n)} {one if n == 1 else many}"


def for_members(hidden: Mapping[str, int], lang: str) -> str:
    """`2 motives, 1 technique, 1 source: for members`, as feeds say it; "" when nothing is hidden."""
    if not hidden:
        return ""
    hidden = {name: hidden[name] for name in NAMES if name in hidden}  # as people read, not as JSON sorts
    if lang == "zh":
        return "、".join(f"{n} 项{NAMES[name][0].zh}" for name, n in hidden.items()) + "：仅会员可见"
    return ", ".join(f"{n} {NAMES[name][n != 1].en}" for name, n in hidden.items()) + ": for members"


_FIELD = {
    "names": Text("名称", "Name"), "name": Text("名称", "Name"), "place": Text("地方", "Place"),
    "country": Text("国家和地区", "Country"), "organisation": Text("机构类型", "Kind of organisation"),
    "sector": Text("行业", "Sector"), "degree": Text("程度", "How far"), "note": Text("说明", "Note"),
    "term": Text("动机", "Motive"), "basis": Text("依据", "Basis"), "confidence": Text("把握", "Confidence"),
    "level": Text("谁可见", "Who sees it"), "id": Text("编号", "Id"), "type": Text("类型", "Type"),
    "attribution": Text("归因", "Attribution"), "by": Text("由谁", "By whom"), "what": Text("内容", "What"),
    "value": Text("数值", "Figure"), "unit": Text("单位", "Unit"), "exactness": Text("准确程度", "Exactness"),
    "at": Text("时间", "When"), "relation": Text("关系", "Relation"), "title": Text("标题", "Title"),
    "publisher": Text("发布者", "Publisher"), "url": Text("网址", "Address"), "date": Text("日期", "Date"),
    "digest": Text("副本摘要", "Digest of the copy"), "reliability": Text("可靠程度", "Reliability"),
    "licence": Text("许可", "Licence"), "credit": Text("署名", "Credit"), "alt": Text("替代文字", "What is seen"),
    "levels": Text("谁可见", "Who sees it"), "hidden": Text("仅会员可见的数量", "How much is for members"),
    "zh": Text("中文", "Chinese"), "en": Text("英文", "English"), "format": Text("格式", "Format"),
}  # fmt: skip


def field(name: str, lang: str, *, many: bool = True) -> str:
    """A field's name as a heading or label: `Motives`, `动机`."""
    if name in NAMES:
        said = pick(NAMES[name][1 if many and name in _LISTS else 0], lang)
    else:
        said = pick(_FIELD[name], lang) if name in _FIELD else name
    return said[:1].upper() + said[1:]


_LISTS = {
    "kinds",
    "motives",
    "techniques",
    "actors",
    "impact",
    "actions",
    "sources",
    "related",
    "kept_working",
}


_OF_KEY: Mapping[str, type[StrEnum]] = {
    "degree": Degree, "term": Term, "basis": Basis, "confidence": Confidence, "level": Level, "attribution": Attribution,
    "relation": Relation, "reliability": Reliability, "licence": Licence, "organisation": Organisation, "sector": Sector,
    "certainty": Certainty, "kinds": Kind, "unit": Unit, "exactness": Exactness, "levels": Level,
}  # fmt: skip


def value(path: str, text: str, lang: str) -> str:
    """A text of a record's JSON for people, by where it stands: terms in words, dates as people say them, the rest as it
    is. `path` as in `kangma.incidents.difference`."""
    keys = [part.partition("[")[0] for part in path.split(".")]
    kind = (
        ActorType
        if keys[-1] == "type" and keys[0] == "actors"
        else Level
        if keys[0] == "levels"  # the level of a field, not a term of it
        else _OF_KEY.get(keys[-1]) or _OF_KEY.get(keys[0])
    )
    if kind is not None and text in set(kind):
        return term(kind(text), lang) or text
    if keys[-1] == "country" and text in atlas.NAMES:
        return pick(atlas.NAMES[text], lang)
    if keys[-1] in ("date", "at"):
        try:
            return dated(text, lang)
        except Refused:
            return text
    return text


def path(text: str, lang: str) -> str:
    """A path of `kangma.incidents.difference` for people: `sources[1].url` → `Sources 2 › Address`."""
    parts = []
    for part in text.split("."):
        name, _, index = part.partition("[")
        said = field(name, lang)
        parts.append(f"{said} {int(index[:-1]) + 1}" if index[:-1].isdigit() else said)
    return " › ".join(parts)


_FAULTS = {
    Code.MISSING_VALUE: "缺少内容", Code.BAD_VALUE: "不合规定", Code.NOT_IN_LIST: "不在可选范围内",
    Code.BAD_DATE: "不是日期",
    Code.BAD_TIME: "不是时间", Code.BAD_NUMBER: "不是数字", Code.VALUE_TOO_LONG: "太长", Code.TOO_MANY_ROWS: "太多",
    Code.ENDS_BEFORE_START: "结束早于开始", Code.DUPLICATE_COLUMN: "重复", Code.DUPLICATE_ID: "编号已被使用",
    Code.NOT_UTF8: "有些字节不是文字", Code.TOO_MANY_BYTES: "太大", Code.TOO_MANY_COLUMNS: "太多项",
}  # fmt: skip


def fault(code: Code, hint: str, lang: str) -> str:
    """What is wrong with a field. The rule itself stands in English in both languages: it is the format's."""
    if lang == "zh":
        return f"{_FAULTS.get(code, code.value)}（{hint}）" if hint else _FAULTS.get(code, code.value)
    return hint or code.value.replace("_", " ")
