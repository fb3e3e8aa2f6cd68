"""What the tests of the policy engine share: a small Beijing-like policy and the ways to write a variant of it."""

from __future__ import annotations

HEAD = """
format = 1
id = "small"
version = "2022-04-22"
effective_from = 2022-04-22T00:00:00+08:00
time_zone = "{zone}"
title = {{ zh = "小", en = "small" }}
[city]
name = "北京市"
districts = ["东城区"]
[parameters]
window_days = 14
borders = ["绥芬河市", "瑞丽市"]
[notices]
"1" = {{ zh = "去过", en = "been there" }}
"2" = {{ zh = "入境", en = "entered" }}
"3" = {{ zh = "时空关联", en = "time and space" }}
"4" = {{ zh = "未检测", en = "no test" }}
[authorities]
cdc = {{ zh = "疾控中心", en = "CDC" }}
[nat]
day_mode = "hours_from_report"
[standing_exceptions]
emergency_care = {{ zh = "急诊", en = "emergency care" }}
"""

TEXTS = """
authority = "cdc"
basis = "3.2"
reason = { zh = "原因", en = "the reason" }
way_out = { zh = "等待", en = "wait" }
"""

CONTACT_AND_AFTER = f"""
[[rule]]
id = "A-R4"
on = "contacts"
when = "degree = 1"
anchor = "last_exposure_at"
outcome = "red"
days = 14
cap_days = 21
test_days = [1, 4, 7, 14]
then = "A-Y4"
{TEXTS}
[[rule]]
id = "A-Y4"
on = "contacts"
when = "degree = 1"
anchor = "last_exposure_at"
outcome = "yellow"
from_day = 15
days = 21
cap_days = 28
{TEXTS}
"""

ENTRY_WITHOUT_TEST = f"""
[[rule]]
id = "A-P4a"
on = "city_entries"
when = '''(leaves_at is null or leaves_at > at + hours(72))
  and (person.birth_date is null or years_between(person.birth_date, at) > 3)'''
anchor = "at"
outcome = "popup:4"
since = "anchor + hours(72)"
cap_days = 7
{TEXTS}
[[rule.stage]]
outcome = "remind:4"
since = "anchor"
until = "anchor + hours(72)"
[[rule.unless]]
on = "occupations"
when = "occupation = 'commuter' and from_at <= anchor and (to_at is null or to_at > anchor)"
[[rule.clear]]
on = "tests"
when = "method = 'nat' and result = 'negative' and sampled_at > anchor + hours(24)"
action = "test"
text = {{ zh = "做核酸检测", en = "take a test" }}
"""


def policy_text(*rules: str, zone: str = "Asia/Shanghai") -> str:
    return HEAD.format(zone=zone) + "".join(rules)


SMALL = policy_text(CONTACT_AND_AFTER, ENTRY_WITHOUT_TEST)
