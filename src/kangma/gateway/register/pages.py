"""Pages for people, members among them: what a route shows, in the order in which people ask.

Thin: what a viewer may see was decided by `Register`; the words are in `templates/` and `wording`, the pictures in
`drawing` and `card`. Everything works without a script.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import RedirectResponse

from kangma.errors import Refused
from kangma.gateway.register import accounts, atlas, card, desk, drawing, pictures, wording
from kangma.gateway.register.asked import Asked, Here, Listed, Now, Viewer
from kangma.gateway.register.house import (
    Language,
    best,
    language_of,
    link,
    render,
    shown,
    victim_address,
    with_value,
)
from kangma.gateway.register.problems import NotThere, Problem
from kangma.incidents import attack, finding
from kangma.incidents.life import Change, Right
from kangma.incidents.record import Record
from kangma.incidents.vocabulary import Degree
from kangma.incidents.words import Dated, Precision, Words
from kangma.store.register import Caller, Register, Version
from kangma.store.register_finder import Query
from kangma.terms import Moment, calendar, day_number

router = APIRouter(include_in_schema=False)

#: The facets that a list is narrowed by, in the order in which they help most.
NARROWED_BY = (
    "kind", "country", "availability", "year", "sector", "integrity", "confidentiality", "certainty",
    "actor", "technique",
    "motive", "organisation",
)  # fmt: skip


@router.get("/")
def home() -> Response:
    return RedirectResponse("/incidents", 303)


# Lists


@router.get("/incidents")
def incidents(
    request: Request, register: Here, viewer: Viewer, query: Listed, lang: Language, now: Now
) -> Response:
    page = register.find(query, viewer, now=now)
    facets = [
        (name, _told(page.counts.get(name, {}), query, name))
        for name in NARROWED_BY
        if page.counts.get(name) or name in query.chosen
    ]
    return render(
        request, lang, "list.html", viewer, page=page, query=query, facets=facets, asked_for=shown(query.words, 400),
        any_filter=bool(query.chosen or query.words or query.since is not None or query.until is not None),
        **_days(query),
    )  # fmt: skip


def _told(counts: Any, query: Query, name: str) -> list[tuple[str, int]]:
    """The values of a facet, most first, years latest first; chosen ones are there even where they leave nothing."""
    told = {**dict.fromkeys(query.chosen.get(name, ()), 0), **counts}
    return (
        sorted(told.items(), key=lambda pair: pair[0], reverse=True) if name == "year" else list(told.items())
    )


def _days(query: Query) -> dict[str, Any]:
    return {
        name: calendar(day).isoformat() if day is not None else ""
        for name, day in (("since", query.since), ("until", query.until))
    }


@router.get("/victims/{key:path}")
def victim(
    request: Request,
    key: str,
    register: Here,
    viewer: Viewer,
    lang: Language,
    now: Now,
    after: Annotated[str, Parameter(max_length=200)] = "",
) -> Response:
    """All that happened to one victim, whichever way its name is written in the address."""
    query = Query(chosen={"victim": (key,)}, after=after)
    page = register.find(query, viewer, now=now) if key else None
    if page is None or not page.total:
        raise NotThere("no such victim")
    cards = page.cards or register.find(replace(query, after=""), viewer, now=now).cards
    said = cards[0].get("victim", {})
    title, others = _names(said.get("name", ""), said.get("names", {}), lang)
    folded = finding.victim_key(said.get("name", "") or Words.of(said.get("names", {})).best())
    if key != finding.victim_segment(folded):
        asked = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(victim_address(folded) + asked, 301)
    return render(
        request, lang, "victim.html", viewer, page=page, query=Query(after=after), path_=victim_address(folded),
        name=title or folded, others=others, place=cards[0],
        organisation=wording.facet_value("organisation", said.get("organisation", "unknown"), lang),
        sector=wording.facet_value("sector", said.get("sector", "unknown"), lang),
        years=sorted(page.counts.get("year", {}).items(), reverse=True),
    )  # fmt: skip


def _names(name: str, names: Any, lang: str) -> tuple[str, list[tuple[str, str]]]:
    """(the name in this language, the others with their languages; the own one, whose language is not said, first)."""
    texts = dict(names)
    main = texts.get(lang) or name or best(texts, lang)[1]
    rest = [("", name)] if name and name != main else []
    rest += [(tag, text) for tag, text in texts.items() if text not in (main, name)]
    return main, rest


# One record


@router.get("/incidents/{id}/card.png")
def card_png(request: Request, id: str, register: Here, lang: Language, now: Now) -> Response:
    content = card.png(_card(register, id, lang, now))
    if content is None:
        raise NotThere("this machine has no fonts for it: there is a card.svg")
    return Response(content, media_type="image/png")


@router.get("/incidents/{id}/card.svg")
def card_svg(request: Request, id: str, register: Here, lang: Language, now: Now) -> Response:
    return Response(card.svg(_card(register, id, lang, now), lang), media_type="image/svg+xml")


def _card(register: Register, id: str, lang: str, now: Moment) -> card.Card:
    """Always what a stranger sees: a picture is made to be passed on."""
    version = register.show(id, None, now=now)
    return picture_of(version, register.about.named(lang), lang)


def picture_of(version: Version, title: str, lang: str) -> card.Card:
    """What the picture of a version says, of what its viewer sees."""
    seen = version.entry.seen
    record = seen.record
    when = wording.dated(record.date, lang) if record.date else ""
    where = _where(record, lang)
    effects = tuple(
        (
            getattr(record, name).degree.value,
            wording.facet(name, lang),
            wording.term(getattr(record, name).degree, lang),
        )
        for name in ("confidentiality", "integrity", "availability")
        if name not in seen.hidden
    )
    return card.Card(
        register=title,
        when=" · ".join(part for part in (when, where) if part),
        victim=_title(record, lang),
        summary=best(record.summary, lang)[1].replace("\n", " "),
        effects=effects,
        withdrawn=("已撤回" if lang == "zh" else "Withdrawn") if version.entry.withdrawn else "",
    )


def _title(record: Record, lang: str) -> str:
    if record.victim is None:
        return "受害者不公开" if lang == "zh" else "Victim not shown"
    return _names(record.victim.name, record.victim.names.pairs, lang)[0] or record.id


def _where(record: Record, lang: str) -> str:
    for spot in (record.location, record.victim):
        if spot is not None:
            place = best(spot.place, lang)[1]
            country = wording.pick(atlas.name(spot.country), lang) if spot.country != "unknown" else ""
            if place or country:
                return place or country
    return ""


@router.get("/incidents/{id}/difference")
def difference(
    request: Request,
    id: str,
    register: Here,
    viewer: Viewer,
    lang: Language,
    now: Now,
    old: Annotated[int, Parameter(alias="from", ge=1, le=10**6)],
    new: Annotated[int, Parameter(alias="to", ge=1, le=10**6)],
) -> Response:
    latest = register.show(id, viewer, now=now)
    if old > latest.versions or new > latest.versions:
        raise NotThere("no such version")
    history = register.history(id)
    return render(
        request, lang, "difference.html", viewer, id=id, old=old, new=new, versions=latest.versions,
        title=_title(latest.entry.seen.record, lang), found=register.differences(id, old, new, viewer, now=now),
        reasons=[s for s in history if min(old, new) < s.version <= max(old, new)],
    )  # fmt: skip


@router.get("/incidents/{id}/versions/{version}")
def one_version(
    request: Request, id: str, version: int, register: Here, viewer: Viewer, lang: Language, now: Now
) -> Response:
    return _record(request, id, version, register, viewer, lang, now)


def record(request: Request, id: str, register: Here, viewer: Viewer, lang: Language, now: Now) -> Response:
    return _record(request, id, None, register, viewer, lang, now)


def _record(
    request: Request,
    id: str,
    number: int | None,
    register: Register,
    viewer: Caller | None,
    lang: str,
    now: Moment,
) -> Response:
    v = register.show(id, viewer, now=now, version=number)
    entry, r = v.entry, v.entry.seen.record
    history = register.history(id)
    name = _title(r, lang)
    when = wording.dated(r.date, lang, weekday=False) if r.date else ""
    withdrawn_since = entry.version < v.versions and history[-1].change is Change.WITHDRAWAL
    reason = history[-1].reason if entry.withdrawn or withdrawn_since else None
    return render(
        request, lang, "record.html", viewer, v=v, entry=entry, r=r, hidden=entry.seen.hidden, history=history,
        newest=entry.version == v.versions, name_shown=name,
        title=("，" if lang == "zh" else ", ").join(part for part in (name, when) if part),
        summary=best(r.summary, lang)[1], canonical=register.about.address(id),
        others=_names(r.victim.name, r.victim.names.pairs, lang)[1] if r.victim else [],
        victim_key=finding.victim_key(r.victim.name or r.victim.names.best()) if r.victim else "",
        month_link=_month_link(r.date), withdrawn_since=withdrawn_since, withdrawal_reason=reason,
        card=finding.card(entry.seen, version=entry.version, withdrawn=entry.withdrawn, published=0, modified=0),
        card_png=bool(card.fonts()) and entry.version == v.versions,
        alt=best(r.picture.alt, lang)[1] if r.picture else "",
        picture=r.picture is not None and entry.version == v.versions,
        actions=sorted(r.actions, key=lambda a: (a.at is None, a.at.first if a.at else None, a.at.text if a.at else "")),
        techniques=[(t, t.name or (attack.TABLE[t.id].name if t.id in attack.TABLE else "")) for t in r.techniques],
        related=[(item, _known(register, item.id, viewer, lang, now)) for item in r.related],
        key=register.key.raw.hex(), can_write=viewer is not None and Right.WRITE in viewer.rights,
    )  # fmt: skip


def _month_link(when: Dated | None) -> str:
    if when is None or when.precision not in (Precision.DAY, Precision.TIME):
        return ""
    month = Dated.parse(when.at(Precision.MONTH))
    return link("/incidents", Query(since=day_number(month.first), until=day_number(month.last)))


def _known(register: Register, id: str, viewer: Caller | None, lang: str, now: Moment) -> str:
    """What a related record is called, "" when this viewer may not know that it is there."""
    try:
        seen = register.show(id, None, now=now).entry.seen
    except Refused:
        return ""
    when = wording.dated(seen.record.date, lang, weekday=False) if seen.record.date else ""
    return ("，" if lang == "zh" else ", ").join(part for part in (_title(seen.record, lang), when) if part)


# Over time, and by country


@dataclass(frozen=True, slots=True)
class _Told:
    """A timeline as rows for a table: (name of the step, its first and last day, a number each value, all of them)."""

    values: tuple[str, ...]
    rows: list[tuple[str, int, int, list[int], int]]


_DEGREES = tuple(
    d.value for d in (Degree.NONE, Degree.ATTEMPTED, Degree.PARTIAL, Degree.WHOLE, Degree.UNKNOWN)
)
_MOST_STEPS = 240
_MOST_MONTHS_OF_KINDS = 60  # times seventeen kinds: more is no picture, and a page of a megabyte

Step = Annotated[Literal["year", "month"], Parameter(description="Whether by year or by month.")]
By = Annotated[
    Literal["availability", "integrity", "confidentiality", "kind"],
    Parameter(description="What is told apart."),
]


def _timeline(
    register: Register, viewer: Caller | None, query: Query, by: str, step: str, lang: str, now: Moment
) -> tuple[_Told, int, int, int]:
    """(what is shown, how many come before it, how many are dated less exactly, how many not at all)."""
    found = register.timeline(query, viewer, by, by_month=step == "month", now=now)
    values = tuple(v for v in _DEGREES if v in found.values) if by != "kind" else found.values
    order = [found.values.index(v) for v in values]
    rows = []
    start = max(
        0, len(found.steps) - (_MOST_MONTHS_OF_KINDS if by == "kind" and step == "month" else _MOST_STEPS)
    )
    for i, (year, month) in list(enumerate(found.steps))[start:]:
        whole = Dated.parse(f"{year:04}-{month:02}" if month else f"{year:04}")
        name = wording.dated(whole, lang)
        numbers = [int(found.counts[i, column]) for column in order]
        rows.append((name, day_number(whole.first), day_number(whole.last), numbers, int(found.totals[i])))
    earlier = int(found.totals[:start].sum())
    return _Told(values, rows), earlier, found.coarse, found.undated


@router.get("/chart")
def chart(
    request: Request, register: Here, viewer: Viewer, query: Asked, lang: Language, now: Now,
    step: Step = "year", by: By = "availability",
) -> Response:  # fmt: skip
    told, earlier, coarse, undated = _timeline(register, viewer, query, by, step, lang, now)

    undated_query = replace(query, since=None, until=None)
    addresses: dict[str | None, str] = {None: link("/incidents", undated_query)}
    for value in told.values:
        chosen = query.chosen if value in query.chosen.get(by, ()) else {**query.chosen, by: (value,)}
        addresses[value] = link("/incidents", replace(undated_query, chosen=chosen))

    def listed(since: int, until: int, value: str | None = None) -> str:
        """The list of what a number counts. A page has thousands of them, so an address is not made anew for each."""
        first = max(since, query.since) if query.since is not None else since
        last = min(until, query.until) if query.until is not None else until
        found = addresses[value]
        days = f"since={calendar(first).isoformat()}&until={calendar(last).isoformat()}"
        return f"{found}{'&' if '?' in found else '?'}{days}"

    rows = [
        (
            name,
            listed(since, until),
            [
                (n, listed(since, until, value) if n else "")
                for n, value in zip(numbers, told.values, strict=True)
            ],
            total,
        )
        for name, since, until, numbers, total in told.rows
    ]
    label = ("事件随时间的变化，" if lang == "zh" else "Incidents over time, ") + wording.facet(by, lang)
    parameters = {"by": by if by != "availability" else "", "step": step if step != "year" else ""}
    return render(
        request, lang, "chart.html", viewer, query=query, by=by, by_month=step == "month",
        values=told.values, rows=rows[::-1],
        drawn=_drawn(told, by, step, label, lang), earlier=earlier, coarse=coarse, undated=undated,
        placed=sum(r[4] for r in told.rows),
        now=now, csv=link("/chart.csv", query, **parameters, lang=lang), **_days(query),
    )  # fmt: skip


def _drawn(told: _Told, by: str, step: str, label: str, lang: str) -> str:
    def short(since: int) -> str:
        day = calendar(since)
        if step == "year":
            return str(day.year)
        return str(day.year) if day.month == 1 else f"{day.month}" if len(told.rows) <= 36 else ""

    if by == "kind":
        names = [wording.facet_value("kind", value, lang) for value in told.values]
        columns = [[row[3][i] for row in told.rows] for i in range(len(names))]
        return drawing.matrix(
            [short(row[1]) for row in told.rows], list(zip(names, columns, strict=True)), label=label
        )
    series = [(value, [row[3][i] for row in told.rows]) for i, value in enumerate(told.values)]
    return drawing.columns([(short(row[1]), row[0]) for row in told.rows], series, label=label)


@router.get("/chart.csv")
def chart_csv(
    register: Here,
    viewer: Viewer,
    query: Asked,
    lang: Language,
    now: Now,
    step: Step = "year",
    by: By = "availability",
) -> Response:
    told, earlier, coarse, undated = _timeline(register, viewer, query, by, step, lang, now)
    rows: list[list[Any]] = [["from", "until", *told.values, "all"]]
    for _, since, until, numbers, total in told.rows:
        rows.append([calendar(since).isoformat(), calendar(until).isoformat(), *numbers, total])
    rows += [
        ["earlier", "", *[""] * len(told.values), earlier],
        ["less exact", "", *[""] * len(told.values), coarse],
        ["undated", "", *[""] * len(told.values), undated],
    ]
    return _csv(rows, "incidents-over-time.csv")


@router.get("/map")
def world(
    request: Request, register: Here, viewer: Viewer, query: Asked, lang: Language, now: Now
) -> Response:
    bare, counts = _by_country(register, viewer, query, now)

    def name(code: str) -> str:
        country, n = wording.pick(atlas.name(code), lang), counts[code]
        return (
            f"{country}：{n} 起"
            if lang == "zh"
            else f"{country}: {wording.counted(n, 'incident', 'incidents')}"
        )

    def address(code: str) -> str:
        return link("/incidents", with_value(bare, "country", code))

    label = "各国和地区的事件" if lang == "zh" else "Incidents by country"
    drawn = drawing.world(counts, label=label, name=name, address=address)
    pieces = [
        drawing.world(
            counts, label=label if i == 0 else f"{label} {i + 1}", name=name, address=address, part=part
        )
        for i, part in enumerate(drawing.parts(counts))
    ]
    return render(
        request, lang, "map.html", viewer, query=query, bare=bare, rows=list(counts.items()), drawn=drawn, now=now,
        pieces=pieces, csv=link("/map.csv", query, lang=lang),
    )  # fmt: skip


def _by_country(
    register: Register, viewer: Caller | None, query: Query, now: Moment
) -> tuple[Query, dict[str, int]]:
    """(the query without a country, country → records found with it, most first)."""
    bare = replace(query, chosen={k: v for k, v in query.chosen.items() if k != "country"})
    return bare, dict(register.find(replace(bare, size=1), viewer, now=now).counts.get("country", {}))


@router.get("/map.csv")
def map_csv(register: Here, viewer: Viewer, query: Asked, lang: Language, now: Now) -> Response:
    _, counts = _by_country(register, viewer, query, now)
    rows: list[list[Any]] = [["code", "zh", "en", "incidents"]]
    rows += [[code, atlas.name(code).zh, atlas.name(code).en, n] for code, n in counts.items()]
    return _csv(rows, "incidents-by-country.csv")


def _csv(rows: Iterable[Iterable[Any]], name: str) -> Response:
    """Only our own words and numbers are in these tables, so nothing in them can be a formula."""
    made = io.StringIO()
    csv.writer(made, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response("\ufeff" + made.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/about")
def about(request: Request, register: Here, viewer: Viewer, lang: Language) -> Response:
    return render(request, lang, "about.html", viewer, query=Query(), oversight=register.members.oversight())


# Failures

_TITLES = {
    400: ("这个地址有误", "This address is not right"),
    401: ("请先登录", "Sign in first"),
    403: ("没有这项权限", "Not allowed"),
    404: ("这里什么也没有", "There is nothing here"),
    405: ("这里不能这样做", "This cannot be done here"),
    409: ("有人先了一步", "Somebody was first"),
    413: ("内容太大", "Too large"),
    415: ("不认识的格式", "Not a form that is read here"),
    421: ("不是这台服务器", "Not this server"),
    422: ("没有收下", "Not taken"),
    429: ("请求太多", "Too many requests"),
    431: ("请求头太大", "The headers are too large"),
    500: ("是我们的错", "This is our fault"),
    503: ("暂时不行", "Not now"),
}
_LINES = {
    400: (
        "地址里有一个参数我们不认识，或者它的值不合适。",
        "A parameter of the address is not known, or its value does not fit.",
    ),
    401: ("这一页只给会员看。", "This page is for members."),
    403: ("您的账号没有这项权限。", "Your account has no right to do this."),
    404: (
        "没有这条记录，或者地址有误。已发布的记录永远留在原处。",
        "There is no such record, or the address is wrong. A published record always stays where it is.",
    ),
    409: (
        "您打开之后，有人改动了它。请重新读取，再作决定。",
        "It was changed after you opened it. Read it again, then decide.",
    ),
    413: ("超过了这里接受的大小。", "It is larger than what is taken here."),
    422: ("有几处不合适，什么都没有保存。", "Some of it does not fit; nothing was saved."),
    429: ("这台服务器要留给所有人。", "This server is there for everybody."),
    500: ("出了差错，已经记下。您没有做错什么。", "Something went wrong and was noted. You did nothing wrong."),
    503: ("服务器正忙。", "The server is busy."),
}  # fmt: skip
#: Of a form that was sent and not taken unread: it is still in the browser, which sends it once more when told to.
_AGAIN = {
    401: (
        "您写的还在浏览器里，没有保存，也没有丢。在另一个窗口登录，再回到这一页重新加载：浏览器会把它再发一次。",
        "What you wrote was not saved and is not lost: your browser has it. Sign in in another window, then reload this "
        "page: it is sent once more.",
    ),
    413: (
        "没有保存。多数浏览器还留着您写的：请返回上一页，改小再发。",
        "Nothing was saved. Most browsers still have what you wrote: go back one page, make it smaller, and send it "
        "again.",
    ),
    503: (
        "您写的还在浏览器里：过一会儿重新加载这一页，浏览器会把它再发一次。",
        "Your browser still has what you wrote: reload this page in a while, and it is sent once more.",
    ),
}


def problem_page(request: Request, problem: Problem) -> Response:
    """A failure as a person reads it: the hook that `app.make_app` hands to the error handlers."""
    lang = language_of(request)
    zh = lang == "zh"
    title = _TITLES.get(problem.status, _TITLES[400 if problem.status < 500 else 500])
    line = _LINES.get(problem.status, _LINES[400 if problem.status < 500 else 500])
    response = render(
        request, lang, "error.html", None, status=problem.status, code=problem.status, title=title[not zh],
        line=line[not zh],
        where=problem.more.get("where", ""), hint=problem.detail if problem.more.get("where") else "",
        faults=problem.more.get("faults", ()), retry=problem.headers.get("Retry-After", ""),
        again=_AGAIN.get(problem.status, ("", ""))[not zh] if request.method == "POST" else "",
    )  # fmt: skip
    response.headers.update(problem.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


for inner in (accounts.router, pictures.router, desk.router):
    router.include_router(inner)
# Last, so that nothing before it is taken for a record.
router.add_api_route("/incidents/{id}", record, methods=["GET"], include_in_schema=False)
