"""The language says what SQL would say, and shows a mistake at its column."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.policy.clock import clock
from kangma.policy.compile_python import civil, function, years_between
from kangma.policy.expressions import Scope, typed
from kangma.policy.language import Mistake, parse
from kangma.terms import DAY, calendar, day_number, moment, zone

SCOPE = Scope(
    "contacts",
    specials=frozenset({"now", "anchor"}),
    parameters={"days_back": 14, "names": ["a", "b"], "share": 0.5, "word": "it's"},
)


def value(
    text: str, row: dict[str, object] | None = None, now: int = 0, zone_name: str = "Asia/Shanghai"
) -> object:
    node, mistakes = typed(parse(text), SCOPE)
    assert not mistakes, mistakes
    return function(node, zone_name)(row or {}, None, {}, 1_000, None, now)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("1 / 0", None),
        ("-2 - -3", 1),
        ("not true or true", True),
        ("not (true or true)", False),
        ("degree = 1 and false", False),
        ("degree = 1 or true", True),
        ("degree = 1 and true", None),
        ("degree is null", True),
        ("2 between 1 and 3 and true", True),
        ("2 not between 1 and 3", False),
        ("'b' in names", True),
        ("'c' not in ('a', 'it''s')", True),
        ("found_by in names", None),
        ("word = 'it''s'", True),
        ("hours(2) + minutes(3) + days(1)", 93_780),
        ("least(degree, 2, 1)", 1),
        ("greatest(degree, 1)", 1),
        ("coalesce(degree, declared_degree, 3)", 3),
        ("if(degree = 1, 1, 2)", 2),
        ("minutes_between(anchor, anchor + 90)", 1.5),
        ("anchor + hours(1) - anchor", 3_600),
        ("year(anchor)", 1970),
        ("year(person.birth_date)", None),
    ],
)
def test_an_expression_means_what_it_says_and_null_is_unknown(text, expected):
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "at", "name", "says"),
    [
        ("degree == 1", 7, "==", "write ="),
        ("degree != 1", 7, "!=", "<>"),
        ("degree = 1 AND true", 11, "AND", "written small"),
        ("degree =", 8, "the end", "expected a value"),
        ("(degree = 1", 11, "the end", "close the bracket"),
        ("1 < degree < 3", 11, "<", "do not chain"),
        ("found_by = 'cdc", 11, "'cdc", "not closed"),
        ('found_by = "cdc"', 11, '"', "single quotes"),
        ("degree = 1 degree = 2", 11, "degree", "operator or the end"),
        ("degree is 1", 10, "1", "after is"),
        ("3x = 1", 0, "3x", "ends with a digit"),
        ("degree ~ 1", 7, "~", "unknown operator"),
        ("1234567890123456789 = 1", 0, "1234567890123456789", "18 digits"),
        ("(" * 100, 65, "(", "deep"),
        ("1" + " " * 5_000, 0, "1" + " " * 19, "4096"),
    ],
)
def test_a_syntax_error_is_shown_where_it_is(text, at, name, says):
    with pytest.raises(Mistake) as found:
        parse(text)
    assert (found.value.at, found.value.name) == (at, name)
    assert says in found.value.message


@pytest.mark.parametrize(
    ("text", "at", "name", "says"),
    [
        ("degre = 1", 0, "degre", "did you mean degree?"),
        ("birth_date is null", 0, "birth_date", "did you mean person.birth_date?"),
        ("person.birthdate is null", 0, "person.birthdate", "did you mean birth_date?"),
        ("hold.degree = 1", 0, "hold.degree", "cannot be used here"),
        ("foo.degree = 1", 0, "foo.degree", "unknown foo"),
        ("hour(1) = 1", 0, "hour", "did you mean hours?"),
        ("hours(1.5) = 1", 0, "hours", "hours(n)"),
        ("day(anchor) = anchor", 0, "day", "day(t, k)"),
        ("degree = 'a'", 7, "=", "cannot compare an int with a text"),
        ("degree = null", 7, "null", "is null"),
        ("last_exposure_at > person.birth_date", 17, ">", "a time cannot be compared with a date"),
        ("last_exposure_at + 1.5 > anchor", 17, "+", "whole seconds"),
        ("last_exposure_at * 2 > anchor", 17, "*", "cannot compute"),
        ("degree and true", 0, "degree", "wants true or false"),
        ("now + 1 > anchor", 0, "now", "only alone on one side"),
        ("now > now", 4, "now", "compared with itself"),
        ("least(now, anchor) > anchor", 6, "now", "only alone"),
        ("since > anchor", 0, "since", "cannot be used here"),
        ("degree in ('a')", 7, "in", "cannot be in"),
        ("degree in (1, 'a')", 10, "(", "not both"),
        ("degree in days_back", 10, "days_back", "wants a list"),
        ("person.away < true", 12, "<", "no order"),
        ("-found_by = 1", 1, "found_by", "wants a number"),
        ("degree * degree * degree * degree > 1", 16, "*", "too large"),
    ],
)
def test_a_mistake_of_names_or_types_is_shown_where_it_is(text, at, name, says):
    _, mistakes = typed(parse(text), SCOPE)
    assert [(m.at, m.name) for m in mistakes] == [(at, name)]
    assert says in mistakes[0].message


def test_all_mistakes_of_one_expression_are_told_at_once():
    _, mistakes = typed(parse("degre = 1 and foo(2) or last_exposure_at > 3"), SCOPE)
    assert [m.name for m in mistakes] == ["degre", "foo", ">"]


def test_a_text_that_a_closed_column_never_has_is_a_mistake():
    _, mistakes = typed(parse("method = 'nat' and result in ('negative', 'positiv')"), Scope("tests"))
    assert [(m.at, m.name) for m in mistakes] == [(42, "positiv")]
    assert "did you mean positive?" in mistakes[0].message


@given(st.integers(-1_000_000, 1_000_000))
def test_civil_dates_are_those_of_the_calendar(day):
    if -700_000 < day < 2_900_000:
        found = calendar(day)
        assert civil(day) == (found.year, found.month, found.day)


def test_who_is_born_on_29_february_is_a_year_older_on_1_march():
    born = day_number(date(2004, 2, 29))
    assert years_between(born, day_number(date(2022, 2, 28))) == 17
    assert years_between(born, day_number(date(2022, 3, 1))) == 18


@pytest.mark.parametrize(
    "name", ["Asia/Shanghai", "Pacific/Auckland", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut"]
)
@settings(deadline=None)
@given(at=st.integers(moment("1999-01-01T00:00:00Z"), moment("2061-01-01T00:00:00Z")))
def test_the_tabulated_clock_is_the_zone(name, at):
    assert clock(name).day(at) == zone(name).day(at)
    day = at // DAY
    assert clock(name).midnight(day) == zone(name).midnight(day)


def test_a_day_that_the_clock_shortens_begins_where_it_begins():
    # Auckland, 25 September 2022: 02:00 becomes 03:00, so the day has 23 hours.
    before = moment("2022-09-25T01:00:00+12:00")
    node, _ = typed(parse("day(last_exposure_at, 1) - day(last_exposure_at, 0)"), SCOPE)
    assert (
        function(node, "Pacific/Auckland")({"last_exposure_at": before}, None, {}, 0, None, 0) == 23 * 3_600
    )
