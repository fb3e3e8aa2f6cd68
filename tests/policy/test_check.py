"""A policy file with mistakes gets all of them at once, each where it stands."""

from __future__ import annotations

import json
import tomllib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_policy import CONTACT_AND_AFTER, policy_text

from kangma.errors import Code, Refused
from kangma.policy import published
from kangma.policy.check import check, check_values
from kangma.policy.document import BadPolicy, load
from kangma.policy.positions import read

TEN_MISTAKES = """\
format = 1
id = "draft"
version = "1"
effective_from = 2022-04-22T00:00:00+08:00
time_zone = "Asia/Shangai"
title = { zh = "草案", en = "draft" }
[notices]
"4" = { zh = "未检测", en = "no test" }
[authorities]
cdc = { zh = "疾控中心", en = "CDC" }
[[rule]]
id = "A"
on = "contact"
anchor = "last_exposure_at"
outcome = "red"
days = 14
authority = "cdc"
basis = "3.2"
reason = { zh = "密接", en = "contact" }
way_out = { zh = "等待", en = "wait" }
[[rule]]
id = "B"
on = "contacts"
when = "degre = 1 and last_exposure_at > 3 and foo(1)"
anchor = "last_exposure_at"
outcome = "popup:5"
days = 14
cap_days = 7
authority = "cdcc"
then = "C"
basis = "3.2"
reason = { zh = "密接", en = "contact" }
way_out = { zh = "等待" }
"""


def test_a_policy_with_ten_different_mistakes_gets_ten_messages_with_line_and_name():
    policy, problems = check(TEN_MISTAKES)
    assert policy is None
    assert [(p.line, p.column, p.name) for p in problems] == [
        (5, 13, "Asia/Shangai"),
        (13, 6, "contact"),
        (24, 9, "degre"),
        (24, 40, ">"),
        (24, 48, "foo"),
        (26, 11, "5"),
        (28, 12, "cap_days"),
        (29, 13, "cdcc"),
        (30, 8, "C"),
        (33, 1, "way_out"),
    ]
    assert "did you mean contacts?" in problems[1].message
    assert "did you mean degree?" in problems[2].message


def test_a_bad_policy_is_refused_with_the_policy_code_and_all_its_problems():
    with pytest.raises(Refused) as refused:
        load(TEN_MISTAKES)
    assert refused.value.code is Code.BAD_POLICY
    assert isinstance(refused.value, BadPolicy)
    assert len(refused.value.problems) == 10


# -- every kind of mistake, one at a time ----------------------------------------------------------------------------

RULE = """
[[rule]]
id = "X"
on = "contacts"
when = "degree = 1"
anchor = "last_exposure_at"
outcome = "red"
days = 10
authority = "cdc"
basis = "x"
reason = { zh = "因", en = "why" }
way_out = { zh = "等", en = "wait" }
"""
CLEAR = """
[[rule.clear]]
on = "tests"
when = "result = 'negative'"
action = "test"
text = { zh = "检", en = "test" }
"""
DOOR = """
[[door]]
id = "shop"
pass = "colour = 'green'"
text = { zh = "店", en = "shop" }
"""
GOOD = policy_text(RULE, CLEAR, DOOR)
AMENDING = f"""
format = 1
id = "small"
version = "2"
amends = "2022-04-22"
effective_from = 2023-01-01T00:00:00Z
remove_doors = ["shop"]
[parameters]
window_days = 7
{RULE}{CLEAR}
"""


def test_the_policy_that_the_mistakes_are_made_in_is_good():
    assert check(GOOD)[1] == ()


@pytest.mark.parametrize(
    ("old", "new", "name", "says"),
    [
        ("format = 1", "format = 2", "2", "format 1"),
        ("format = 1\n", "", "format", "missing"),
        ('id = "small"', 'id = "a b"', "a b", "letters"),
        ("T00:00:00+08:00", "T00:00:00", "effective_from", "offset"),
        ("2022-04-22T00:00:00+08:00", "2022-04-22", "effective_from", "a time with offset"),
        ("[city]", "[ctiy]", "ctiy", "did you mean city?"),
        ("Asia/Shanghai", "Asia/Peking2", "Asia/Peking2", "unknown time zone"),
        ("window_days = 14", "window_days = 9999999999", "window_days", "milliard"),
        ("window_days = 14", "window_days = []", "window_days", "a parameter is"),
        ("window_days = 14", "now = 14", "now", "one word"),
        ("window_days = 14", "degree = 14", "degree", "both a column and a parameter"),
        ('{ zh = "去过", en = "been there" }', '"went"', "1", "must be a text"),
        ('{ zh = "疾控中心", en = "CDC" }', '{ zh = "疾控中心", en = " " }', "cdc", "text in en"),
        ('"hours_from_report"', '"hours_from_reports"', "hours_from_reports", "did you mean hours_from_report?"),
        ('id = "X"', 'id = "1X"', "1X", "begins with a letter"),
        ('on = "contacts"', 'on = "contact"', "contact", "did you mean contacts?"),
        ('on = "contacts"\n', "", "on", "on is missing"),
        ('when = "degree = 1"', 'when = "degree"', "when", "must be a bool"),
        ('when = "degree = 1"', 'when = "since > anchor"', "since", "cannot be used here"),
        ('anchor = "last_exposure_at"', 'anchor = "now"', "now", "cannot be used here"),
        ('anchor = "last_exposure_at"', 'anchor = "degree"', "anchor", "must be a time or date"),
        ('outcome = "red"', 'outcome = "read"', "read", "did you mean red?"),
        ('outcome = "red"', 'outcome = ["red", "yellow"]', "outcome", "at most one colour"),
        ('outcome = "red"', 'outcome = "popup:44"', "44", "unknown notice"),
        ('outcome = "red"', "outcome = []", "outcome", "a text or a list"),
        ("days = 10", "days = 10\nhours = 3", "hours", "says the end already"),
        ("days = 10", "days = 10\nfrom_day = 11", "days", "ends before it begins"),
        ("days = 10", "days = 10\nsince = 'now'", "now", "cannot be used here"),
        ("days = 10\n", "", "X", "needs a cap"),
        ("days = 10", "days = 10\ncap_days = 9", "cap_days", "before the end"),
        ("days = 10", "days = -1", "days", "from 0 to"),
        ("days = 10", 'days = "14"', "days", "a whole number"),
        ("days = 10", "days = 10\ncap_notice = '4'", "4", "there is no cap"),
        ("days = 10", "days = 10\nend_needs_tests = true", "end_needs_tests", "needs test_days"),
        ("days = 10", "days = 10\ntest_days = [4, 1]", "test_days", "must rise"),
        ("days = 10", "days = 10\nthen = 'Y'", "Y", "unknown rule"),
        ("days = 10", "days = 10\nthen = 'X'", "X", "cannot follow itself"),
        ('authority = "cdc"', 'authority = "cdcc"', "cdcc", "did you mean cdc?"),
        ('basis = "x"\n', "", "basis", "missing"),
        ("days = 10", "days = 10\nbasiss = 'x'", "basiss", "did you mean basis?"),
        ("way_out = ", "wayout = ", "wayout", "did you mean way_out?"),
        ('action = "test"', 'action = "tests"', "tests", "did you mean test?"),
        ('action = "test"', 'action = "test"\ncount = 3', "count", "from 1 to 2"),
        ('action = "test"', 'action = "test"\napart_hours = 3', "apart_hours", "needs count = 2"),
        ('action = "test"', 'action = "test"\nat = "now"', "now", "cannot be used here"),
        ("result = 'negative'", "degree = 1", "degree", "did you mean hold.degree?"),
        ("[[rule.clear]]\non = \"tests\"\nwhen = \"result = 'negative'\"",
         "[[rule.clear]]\non = \"people\"\nwhen = \"away\"", "at", "no moment of its own"),
        ("[[rule.clear]]", "[rule.clear]", "clear", "[[rule.clear]]"),
        ("colour = 'green'", "colour = 'gren'", "gren", "did you mean green?"),
        ("colour = 'green'", "degree = 1", "degree", "there is no degree"),
        ('id = "shop"', 'id = "shop"\nnever_block = ["emergency"]', "emergency", "did you mean emergency_care?"),
        ('id = "shop"', 'id = "shop"\nto = 2020-01-01T00:00:00Z\nfrom = 2021-01-01T00:00:00Z', "to", "ends before"),
        ("[[door]]", "remove_rules = ['X']\n[[door]]", "remove_rules", "unknown key"),
        ("format = 1", "format = 1\nremove_rules = ['X']", "remove_rules", "only an amendment"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_and_named(old, new, name, says):
    assert old in GOOD
    policy, problems = check(GOOD.replace(old, new, 1) if old != "way_out = " else GOOD.replace(old, new))
    assert policy is None
    found = [p for p in problems if p.name == name and says in p.message]
    assert found, problems
    line = GOOD.replace(old, new).split("\n")[found[0].line - 1]
    assert line.strip() or found[0].line == 1


def test_vaccination_can_never_colour_and_may_remind():
    on_doses = (
        RULE.replace("contacts", "vaccinations")
        .replace("degree = 1", "dose = 1")
        .replace("last_exposure_at", "given_on")
    )
    assert [p.name for p in check(policy_text(on_doses))[1]] == ["vaccinations"]
    for outcome in ("yellow", "unknown", "popup:4"):
        assert check(policy_text(on_doses.replace("red", outcome)))[1]
    assert check(policy_text(on_doses.replace("red", "remind:4")))[1] == ()


@pytest.mark.parametrize(
    ("change", "good"),
    [
        (("from_day = 15", "from_day = 15"), True),
        (("from_day = 15", "from_day = 16"), False),
        (("from_day = 15", 'since = "day(last_exposure_at, 15)"'), True),
        (("from_day = 15\ndays = 21", 'since = "anchor + hours(24)"\ndays = 21'), False),
    ],
)
def test_a_rule_that_follows_begins_where_the_one_before_ends(change, good):
    assert (check(policy_text(CONTACT_AND_AFTER.replace(*change)))[1] == ()) is good


def test_a_line_that_is_not_toml_is_told_and_the_rest_is_checked_too():
    broken = (
        GOOD.replace("[city]", "[city\n")
        .replace("degree = 1", "degre = 1")
        .replace("days = 10\n", "days = = 14\n")
    )
    names = [(p.name, broken.split("\n")[p.line - 1]) for p in check(broken)[1]]
    assert ("TOML", "[city") in names
    assert ("TOML", "days = = 14") in names
    assert ("degre", 'when = "degre = 1"') in names


@pytest.mark.parametrize(
    "text", ["", "\x00", "[", "a = " + "[" * 5_000, "rule = 3", "door = [1]", "x" * 3_000_000]
)
def test_whatever_is_sent_is_answered_with_problems(text):
    policy, problems = check(text)
    assert policy is None
    assert problems


# -- places ----------------------------------------------------------------------------------------------------------

AWKWARD = '''# comment with "quotes" and [brackets]
"quoted key" = 'literal # not a comment'
a.b."c.d" = [1, [2, "x]"], { k = "v" }] # end
dates = [1979-05-27T07:32:00Z, 1979-05-27]
text = """
first \\
   joined "" quotes \\u4e2d"""
raw = \'\'\'C:\\path''\'\'\'
[[list]]
name = "one"
[list.sub]
deep = true
[[list]]
name = "two" [[list.inner]]
'''.replace(" [[list.inner]]", "\n[[list.inner]]\nz = 1")


def test_every_key_has_a_place_also_in_awkward_toml():
    marked = read(AWKWARD)
    lines = AWKWARD.split("\n")
    assert marked.faults == ()

    def keys(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        if isinstance(value, dict):
            return [p for k, v in value.items() for p in [(*path, k), *keys(v, (*path, k))]]
        if isinstance(value, list):
            return [p for i, v in enumerate(value) for p in [(*path, i), *keys(v, (*path, i))]]
        return []

    for path in keys(marked.values, ()):
        place = marked.place(path)
        assert 1 <= place.line <= len(lines)
        assert path in marked.places, path
    one, two = marked.place(("list", 0, "name")), marked.place(("list", 1, "name"))
    assert (lines[one.line - 1], lines[two.line - 1]) == ('name = "one"', 'name = "two"')
    text = marked.values["text"]
    joined = marked.place(("text",))
    assert len(joined.chars) == len(text)
    line, column = joined.of_char(text.index("joined"))
    assert lines[line - 1][column - 1 :].startswith("joined")
    assert len(marked.place(("raw",)).chars) == len(marked.values["raw"])


@given(st.text(alphabet=st.sampled_from("a \\n'\"\\\\é中\t#]}"), max_size=30))
def test_a_mistake_in_any_string_is_shown_at_its_character(prefix):
    """Whatever stands before it, escaped or not, the unknown name is found where it stands in the file."""
    comment = prefix.replace("'", "")
    text = f"when = {json.dumps(chr(39) + comment + chr(39) + ' = 1 or needle', ensure_ascii=False)}"
    place = read(text).place(("when",))
    value = read(text).values["when"]
    line, column = place.of_char(value.index("needle"))
    assert line == 1
    assert text[column - 1 :].startswith("needle")


JUNK = (
    0,
    -1,
    True,
    "",
    "x",
    "now",
    3.5,
    [],
    [1],
    ["a", 2],
    {},
    {"zh": 1},
    [{}],
    [{"id": 3}],
    [{"id": []}],
    10**30,
)


def spots(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for k, v in inner for p in [(*path, k), *spots(v, (*path, k))]]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_whatever_stands_at_whatever_place_the_check_answers(seed):
    """Values of every wrong kind at random places of a good policy and of a good amendment: problems, never a crash."""
    chance = Random(seed)
    for text, base in ((GOOD, None), (AMENDING, load(GOOD))):
        values = tomllib.loads(text)
        for path in chance.sample(spots(values), 2):
            place = values
            try:
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = chance.choice(JUNK)
            except (KeyError, IndexError, TypeError):
                continue  # the place before took this one away
        policy, problems = check_values(values, base)
        assert (policy is None) == bool(problems)


def test_stays_are_never_kept_longer_than_28_days() -> None:
    text = published.read("beijing-2022-04-22@2022-04-22")[0]
    _, problems = check(text.replace("retention_days = 14", "retention_days = 29"))
    assert [(p.name, p.message) for p in problems] == [
        ("retention_days", "visits and stays are kept 1 to 28 days")
    ]
    assert text.splitlines()[problems[0].line - 1].startswith("retention_days")


def test_tracing_says_how_long_the_air_of_a_place_stays_infectious_and_nothing_impossible() -> None:
    text = published.read("beijing-2022-04-22@2022-04-22")[0]
    policy, _ = check(text.replace("look_back_days = 2", "look_back_days = 4\nlinger_minutes = 120"))
    assert policy is not None
    assert (policy.tracing.look_back_days, policy.tracing.linger_minutes) == (4, 120)
    _, problems = check(text.replace("min_overlap_minutes = 10", "min_overlap_minutes = 0"))
    assert [p.name for p in problems] == ["min_overlap_minutes"]


def test_a_file_that_is_no_toml_is_told_where_it_breaks_and_not_what_is_missing_behind() -> None:
    _, problems = check('format = 1\nid = "x\n')
    assert [(p.line, p.name) for p in problems] == [(2, "TOML")]
