"""The demo's report: one small HTML file that needs nothing else, no script, no font, no network.

Shape, word and colour together say each state, so that any one of them is enough; every chart has its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from importlib.resources import files
from typing import Any

from kangma.cli.terminal import shown_state
from kangma.terms import State, Text

SHOWN = (State.RED, State.YELLOW, State.POPUP, State.REMIND, State.UNKNOWN)
WORDS = {
    State.GREEN: Text("绿码 未见异常", "Green"),
    State.REMIND: Text("提醒", "Reminder"),
    State.POPUP: Text("弹窗", "Notice"),
    State.YELLOW: Text("黄码", "Yellow"),
    State.RED: Text("红码", "Red"),
    State.UNKNOWN: Text("未能核验", "Not verified"),
}
_SHAPES = {
    State.GREEN: '<circle cx="12" cy="12" r="10"/><path class="in" d="M7 12.5l3.5 3.5L17 9"/>',
    State.REMIND: '<circle cx="12" cy="12" r="10"/><path class="in" d="M12 6.5v7M12 16.5v1"/>',
    State.POPUP: '<path d="M12 1.5 22.5 12 12 22.5 1.5 12z"/><path class="in" d="M12 7v6M12 16v1"/>',
    State.YELLOW: '<path d="M12 2 23 21H1z"/><path class="in dark" d="M12 9v6M12 17.2v1"/>',
    State.RED: '<path d="M8 1.5h8L22.5 8v8L16 22.5H8L1.5 16V8z"/><path class="in" d="M7 12h10"/>',
    State.UNKNOWN: '<circle class="dashed" cx="12" cy="12" r="9.5"/>',
}


_MIDNIGHT = Text(
    "每天以午夜的发布结束，它算在刚结束的那一天。",
    "A day ends with its release at midnight, which counts for the day that it ends.",
)


@dataclass(frozen=True, slots=True)
class DayCount:
    """What one day's last cycle counted: that of the midnight with which the day ends."""

    day: date
    states: Mapping[State, int]
    rules: Mapping[str, int]  # persons with an active hold, by rule id
    turns: int
    cases_known: int = 0
    infected_in_truth: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    title: Text
    policy: str
    residents: int
    days: Sequence[DayCount]
    reasons: Mapping[str, Text]  # rule id → its reason
    people: Sequence[Mapping[str, Any]]  # the JSON of `kangma code`, three of them
    made_with: str
    figures: Sequence[tuple[Text, str]] = field(default_factory=tuple)


def render(report: Report) -> str:
    """The whole page as one string of HTML."""
    days = report.days
    css = files("kangma.cli").joinpath("report.css").read_text("utf-8")
    return "\n".join(
        [
            '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(report.title.en)} · {escape(report.title.zh)}</title><style>{css}</style></head><body>",
            '<input type="radio" name="l" id="zh" class="sw"><input type="radio" name="l" id="en" class="sw" checked>',
            f'<header><p class="mark"><i></i>康码 Kangma</p><p class="pick"><label for="zh">中文</label>'
            f'<label for="en">English</label></p><h1>{_both(report.title)}</h1><p class="soft">'
            + _both(
                Text(
                    f"虚构居民 {report.residents:,} 人，虚构疫情。每个码都由证据按公布的规则推得。",
                    f"{report.residents:,} residents and an epidemic, both invented. Every code is derived from "
                    "evidence by the published policy.",
                )
            )
            + f" <code>{escape(report.policy)}</code></p></header><main>",
            _today(report),
            _section(
                Text("每天有多少人不是绿码或有提示", "People whose code was not plainly green, by day"),
                f'<p class="soft">{_both(_MIDNIGHT)}</p>' + _bars(days) + _state_table(days),
            ),
            _section(Text("为什么：按规则计的人数", "Why: people held by each rule"), _rules(report)),
            _section(
                Text("疫情与已知病例", "The epidemic, and the cases that were known"),
                _lines(days) + _epidemic_table(days),
            ),
            _section(Text("三个人", "Three people"), "".join(_person(p) for p in report.people)),
            f'</main><footer class="soft"><p>{_both(Text("生成命令", "Made with"))} '
            f"<code>{escape(report.made_with)}</code></p></footer></body></html>",
        ]
    )


def _both(text: Text) -> str:
    return f'<span lang="zh">{escape(text.zh)}</span><span lang="en">{escape(text.en)}</span>'


def _section(title: Text, body: str) -> str:
    return f"<section><h2>{_both(title)}</h2>{body}</section>"


def _shape(state: State, size: int = 24) -> str:
    return (
        f'<svg class="shape {state.name.lower()}" viewBox="0 0 24 24" width="{size}" height="{size}" '
        f'aria-hidden="true">{_SHAPES[state]}</svg>'
    )


def _today(report: Report) -> str:
    last = report.days[-1]
    cards = "".join(
        f"<li>{_shape(s, 32)}<b>{last.states.get(s, 0):,}</b><span>{_both(WORDS[s])}</span></li>"
        for s in (State.GREEN, *SHOWN)
        if s is not State.UNKNOWN or last.states.get(s, 0)
    )
    when = Text(
        f"{last.day:%Y}年{last.day.month}月{last.day.day}日 结束时", f"At the end of {last.day:%A, %-d %B %Y}"
    )
    figures = "".join(f"<div><dt>{_both(t)}</dt><dd>{escape(v)}</dd></div>" for t, v in report.figures)
    return f'<section><h2>{_both(when)}</h2><ul class="cards">{cards}</ul><dl class="figures">{figures}</dl></section>'


def _bars(days: Sequence[DayCount]) -> str:
    width, height, left, bottom = 760, 260, 56, 34
    top = _round_up(max((sum(d.states.get(s, 0) for s in SHOWN) for d in days), default=1))
    step = (width - left) / max(1, len(days))
    out = [_frame(width, height, left, bottom, top)]
    for i, d in enumerate(days):
        y = float(height - bottom)
        x = left + i * step + step * 0.18
        for s in SHOWN:
            count = d.states.get(s, 0)
            tall = (height - bottom - 16) * count / top
            y -= tall
            if count:
                out.append(
                    f'<rect class="{s.name.lower()}" x="{x:.1f}" y="{y:.1f}" width="{step * 0.64:.1f}" '
                    f'height="{tall:.1f}"><title>{d.day.isoformat()} {WORDS[s].en}: {count:,}</title></rect>'
                )
    out.append(_dates(days, left, step, height))
    legend = "".join(f"<li>{_shape(s, 18)} {_both(WORDS[s])}</li>" for s in reversed(SHOWN) if _any(days, s))
    return _svg(width, height, out) + f'<ul class="legend">{legend}</ul>'


def _lines(days: Sequence[DayCount]) -> str:
    width, height, left, bottom = 760, 220, 56, 34
    top = _round_up(max((max(d.infected_in_truth, d.cases_known) for d in days), default=1))
    step = (width - left) / max(1, len(days))

    def path(values: list[int]) -> str:
        return " ".join(
            f"{left + (i + 0.5) * step:.1f},{height - bottom - (height - bottom - 16) * v / top:.1f}"
            for i, v in enumerate(values)
        )

    out = [_frame(width, height, left, bottom, top)]
    out.append(f'<polyline class="truth" points="{path([d.infected_in_truth for d in days])}"/>')
    out.append(f'<polyline class="known" points="{path([d.cases_known for d in days])}"/>')
    out.append(_dates(days, left, step, height))
    legend = (
        '<li><svg width="28" height="12" aria-hidden="true"><path class="truth" d="M0 6h28"/></svg> '
        + _both(
            Text("城里实际已感染（系统看不到）", "infected so far, in truth (the platform cannot see it)")
        )
        + '</li><li><svg width="28" height="12" aria-hidden="true"><path class="known" d="M0 6h28"/></svg> '
        + _both(Text("系统已知病例", "cases known to the platform"))
        + "</li>"
    )
    return _svg(width, height, out) + f'<ul class="legend">{legend}</ul>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<div class="wide"><svg class="chart" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg></div>'


def _frame(width: int, height: int, left: int, bottom: int, top: int) -> str:
    lines = []
    for part in (0, 0.5, 1):
        y = height - bottom - (height - bottom - 16) * part
        lines.append(f'<path class="grid" d="M{left} {y:.1f}H{width}"/>')
        lines.append(f'<text class="num" x="{left - 8}" y="{y + 4:.1f}">{int(top * part):,}</text>')
    return "".join(lines)


def _dates(days: Sequence[DayCount], left: int, step: float, height: int) -> str:
    every = max(1, len(days) // 14)
    return "".join(
        f'<text class="tick" x="{left + (i + 0.5) * step:.1f}" y="{height - 12}">{d.day.month}/{d.day.day}</text>'
        for i, d in enumerate(days)
        if i % every == 0
    )


def _state_table(days: Sequence[DayCount]) -> str:
    states = [s for s in (State.GREEN, *reversed(SHOWN)) if s is State.GREEN or _any(days, s)]
    head = "".join(f"<th>{_both(WORDS[s])}</th>" for s in states) + f"<th>{_both(Text('变动', 'turns'))}</th>"
    rows = "".join(
        f"<tr><th>{d.day.isoformat()}</th>"
        + "".join(f"<td>{d.states.get(s, 0):,}</td>" for s in states)
        + f"<td>{d.turns:,}</td></tr>"
        for d in days
    )
    return _table(f"<tr><th></th>{head}</tr>", rows)


def _epidemic_table(days: Sequence[DayCount]) -> str:
    head = (
        f"<tr><th></th><th>{_both(Text('实际已感染', 'infected in truth'))}</th>"
        f"<th>{_both(Text('已知病例', 'known cases'))}</th></tr>"
    )
    rows = "".join(
        f"<tr><th>{d.day.isoformat()}</th><td>{d.infected_in_truth:,}</td><td>{d.cases_known:,}</td></tr>"
        for d in days
    )
    return _table(head, rows)


def _table(head: str, rows: str) -> str:
    summary = _both(Text("数字表", "The same as a table"))
    return (
        f'<details><summary>{summary}</summary><div class="wide"><table>{head}{rows}</table></div></details>'
    )


def _rules(report: Report) -> str:
    days = report.days
    totals = {rule: max(d.rules.get(rule, 0) for d in days) for d in days for rule in d.rules}
    most = max(totals.values(), default=1)
    head = "".join(f"<th>{d.day.month}/{d.day.day}</th>" for d in days)
    rows = []
    for rule in sorted(totals, key=lambda r: (-totals[r], r)):
        cells = "".join(
            f'<td style="--w:{(d.rules.get(rule, 0) / most) ** 0.5:.2f}">{_count(d.rules.get(rule, 0))}</td>'
            for d in days
        )
        reason = report.reasons.get(rule, Text("", ""))
        rows.append(f"<tr><th><code>{escape(rule)}</code> <small>{_both(reason)}</small></th>{cells}</tr>")
    return f'<div class="wide late"><table class="heat"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _count(n: int) -> str:
    return f"{n:,}" if n else "·"


def _person(person: Mapping[str, Any]) -> str:
    state = shown_state(person)
    once: dict[str, Mapping[str, Any]] = {}  # several holds of one rule: the one that ends last
    for h in sorted(person["holds"], key=lambda h: h["until"] or "9"):
        once[h["rule"]] = h
    shown = [once[rule] for rule in dict.fromkeys(h["rule"] for h in person["holds"])]
    holds = "".join(
        f"<li><p><b>{_text(h['reason'])}</b></p>"
        + f"<p class='soft'>{_both(Text('起', 'since'))} {_when(h['since'])}"
        + (f" · {_both(Text('预计至', 'expected end'))} {_when(h['until'])}" if h["until"] else "")
        + "</p></li>"
        for h in shown
    )
    legs = "".join(_leg(leg) for leg in person.get("way") or [])
    out = f"<div class='way'><h4>{_both(Text('怎样解除', 'The way out'))}</h4>{legs}</div>" if legs else ""
    rules = "".join(f"<li>{_text(h['reason'])} <code>{escape(h['rule'])}</code></li>" for h in shown)
    decided = _both(Text("依据", "How this was decided"))
    basis = f"<details><summary>{decided}</summary><ul>{rules}</ul></details>" if rules else ""
    plain = f"<p>{_both(Text('没有任何限制。', 'Nothing holds this person.'))}</p>" if not holds else ""
    return (
        f"<article><h3>{_shape(state, 40)}<span>{_both(WORDS[state])}<small>{escape(person['person'][:8])}…</small>"
        f"</span></h3><ul>{holds}</ul>{plain}{out}{basis}</article>"
    )


def _leg(leg: Mapping[str, Any]) -> str:
    """One line a step; what does as well stands below it, after "or"."""
    steps = "".join(f"<li>{_text(step)}{_others(step['or'])}</li>" for step in leg["steps"])
    return f"<p><b>{_text(leg)}</b></p><ul>{steps}</ul>{_others(leg['or'])}"


def _others(others: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"<p>{_both(Text('或者', 'Or'))} {_text(other)}</p>" for other in others)


def _text(pair: Mapping[str, Any]) -> str:
    return _both(Text(str(pair.get("zh", "")), str(pair.get("en", ""))))


def _when(iso: str) -> str:
    return f"<time>{escape(iso[:16].replace('T', ' '))}</time>"


def _any(days: Sequence[DayCount], state: State) -> bool:
    return any(d.states.get(state, 0) for d in days)


def _round_up(value: int) -> int:
    """The next round number that halves well, so that the tallest bar fills most of its axis."""
    if value <= 10:
        return value + value % 2 or 2
    power = 10 ** (len(str(value)) - 1)
    return next(int(m * power) for m in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if m * power >= value)
