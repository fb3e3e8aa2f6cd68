"""The way out in words: one plain line a step, in Chinese and in English, with the days as people there name them."""

from __future__ import annotations

from dataclasses import dataclass

from kangma.policy.clock import clock
from kangma.terms import DAY, HOUR, Moment, State, Text, calendar

_DAYS_ZH = "一二三四五六日"
_DAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one answer, as at `now`, by the calendar of `zone`.

    A day named alone is told of what begins or ends with that day. What can be done from `now` on is told by its day
    alone too, so that the words stay the same, and true, for as long as the answer may be shown.
    """

    zone: str
    now: Moment

    def day(self, at: Moment) -> Text:
        """The local day: "4月21日（周四）", "Thu 21 Apr"."""
        date = calendar(clock(self.zone).day(at))
        return Text(
            f"{date.month}月{date.day}日（周{_DAYS_ZH[date.weekday()]}）",
            f"{_DAYS_EN[date.weekday()]} {date.day} {_MONTHS[date.month - 1]}",
        )

    def point(self, at: Moment) -> Text:
        """The day, and the minute unless the day begins with it: "4月21日（周四）10:00", "Thu 21 Apr, 10:00"."""
        day = self.day(at)
        if self._begins_a_day(at):
            return day
        minute = clock(self.zone).local(at) % DAY // 60
        shown = f"{minute // 60:02}:{minute % 60:02}"
        return Text(f"{day.zh}{shown}", f"{day.en}, {shown}")

    def _begins_a_day(self, at: Moment) -> bool:
        where = clock(self.zone)
        return at == where.midnight(where.day(at))

    # headings ---------------------------------------------------------------------------------------------------------

    def heading(self, to: State, was: State, earliest: Moment | None, acts: bool) -> Text:
        """What is reached, and when: `acts`, by what a person does."""
        goal = _goal(to, was)
        if earliest is None:
            return Text(f"{goal.zh()}：日期还不能确定", f"{_capital(goal.en)}; the day is not known yet")
        if acts and earliest <= self.now:
            return Text(f"办好以下事项，{goal.zh('即')}", f"Once this is done, {goal.en}")
        if acts:
            at = self.day(earliest)
            return Text(f"最早{at.zh}{goal.zh()}", f"On {at.en} at the earliest, {goal.en}")
        at = self.point(earliest)
        return Text(f"{at.zh}{goal.zh()}", f"On {at.en}, {goal.en}")

    def by_itself(self, to: State, was: State, at: Moment) -> Text:
        """That waiting alone leads there too."""
        wait, goal = self.until(at), _goal(to, was)
        return Text(f"{wait.zh.rstrip('。')}，{goal.zh('自动')}。", f"{wait.en} Then {goal.en} by itself.")

    # steps ------------------------------------------------------------------------------------------------------------

    def until(self, at: Moment) -> Text:
        """A wait, told by its last day where it lasts the whole of it."""
        if self._begins_a_day(at):
            last = self.day(at - 1)
            return Text(f"等到{last.zh}过完。", f"Wait until the end of {last.en}.")
        point = self.point(at)
        return Text(f"等到{point.zh}。", f"Wait until {point.en}.")

    def test(
        self,
        since: Moment | None,
        until: Moment | None,
        *,
        count: int = 1,
        apart: int = 0,
        single: bool = False,
        nat: bool = True,
    ) -> Text:
        """One test or two (a clear asks for no more): from when on they count, or on which days."""
        zh_when, en_when = self._sampling(since, until)
        kind = "核酸检测" if nat else "检测"
        own = "单人" if single else ""
        en_kind = "a test of your own, not one shared with others," if single else "a test"
        if not en_when:
            en_kind = en_kind.rstrip(",")
        hours = -(-apart // HOUR)
        if count == 1 and apart:
            return Text(
                f"再做一次{own}{kind}，至少比上一次晚{hours}小时，结果须为阴性。",
                f"Take {en_kind.replace('a test', 'one more test', 1)} at least {hours} hours after the one before. "
                "It must be negative.",
            )
        if count == 1:
            return Text(
                f"{zh_when}做一次{own}{kind}，结果须为阴性。",
                f"Take {en_kind}{en_when}. It must be negative.",
            )
        return Text(
            f"{zh_when}做两次{own}{kind}，第二次至少比第一次晚{hours}小时，结果都须为阴性。",
            f"Take {en_kind}{en_when}; a second at least {hours} hours later. Both must be negative.",
        )

    def _sampling(self, since: Moment | None, until: Moment | None) -> tuple[str, str]:
        if since is None:
            return "", ""
        where = clock(self.zone)
        day = self.day(since)
        if until is not None:
            if where.day(until - 1) == where.day(since):
                return f"{day.zh}", f" on {day.en}"
            return f"{day.zh}或次日", f" on {day.en} or the day after"
        # A strict bound is told as the moment itself: "after 10:00" is what the rule says of 10:00:01.
        told = since - 1 if since % 60 == 1 else since
        if since <= self.now or self._begins_a_day(told):
            return f"{day.zh}起", f" on or after {day.en}"
        point = self.point(told)
        return f"{point.zh}以后", f" after {point.en.split(', ')[1]} on {day.en}, or later"

    def after(self, text: Text, since: Moment) -> Text:
        """The clear's own words, and from when on it counts where that is not today."""
        if since <= self.now:
            return text
        point = self.point(since)
        return Text(f"{point.zh}起：{text.zh}", f"From {point.en} on: {text.en}")


@dataclass(frozen=True, slots=True)
class _Goal:
    """What a leg leads to: in Chinese who and what becomes of it, in English a clause."""

    who: str
    what: str
    en: str

    def zh(self, how: str = "") -> str:
        return f"{self.who}{how}{self.what}"


def _goal(to: State, was: State) -> _Goal:
    if to is State.YELLOW:
        return _Goal("", "转为黄码", "your code turns yellow")
    if to is State.POPUP:
        return _Goal("", "转为绿码（提示还在）", "your code turns green (a notice remains)")
    if was is State.POPUP:
        return _Goal("提示", "解除", "your notice ends")
    return _Goal("", "转为绿码", "your code turns green")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
