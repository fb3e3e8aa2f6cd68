"""A policy file with mistakes gets all of them at once, each where it stands."""

from __future__ import annotations

import pytest

from kangma.errors import Code, Refused
from kangma.policy.check import check
from kangma.policy.document import BadPolicy, load

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
