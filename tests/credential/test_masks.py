"""Masks: what a door may compare, and what a collector of masks does not learn."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from at_the_door import door, world
from hypothesis import given, settings
from hypothesis import strategies as st

from kangma.credential.mask import HIDDEN, LEAST, candidates, masks_of
from kangma.credential.outcome import Verified


@pytest.mark.parametrize(
    ("name", "masks"),
    [
        ("张三", ("张*", "*三", "*")),
        ("张三丰", ("张*丰", "张*", "*丰", "*")),
        ("欧阳娜娜", ("欧阳*娜", "欧阳*", "*娜", "*")),
        ("欧阳修", ("欧阳*", "*修", "*")),
        ("欧阳", ("欧*", "*阳", "*")),
        ("阿迪力·买买提", ("阿*·买*", "阿*", "*")),
        ("Maria Lopez", ("M.L.", "M.", "*")),
        ("Ørsted", ("Ø.", "*")),
        ("Дмитрий", ("*",)),
        ("张", ("*",)),
        ("", ("*",)),
        ("  ", ("*",)),
        ("\u202e\0", ("*",)),
    ],
)
def test_how_names_may_be_masked(name: str, masks: tuple[str, ...]) -> None:
    assert candidates(name) == masks


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=30))
def test_no_mask_is_the_name_and_each_fits_into_a_credential(name: str) -> None:
    for mask in candidates(name):
        assert world.phone(mask=mask).mask == mask
        assert mask != name or mask == HIDDEN
    assert candidates(name)[-1] == HIDDEN


@cache
def city(n: int = 60_000) -> tuple[str, ...]:
    """Names by invented frequencies that fall as those of real cities do: few very common, a long tail."""
    chance = world.np.random.default_rng(22)
    surnames = (
        "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
        "钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
    )
    given = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文斌鑫宇浩然子轩梓涵一诺欣怡思远嘉懿泽睿翰墨"
    falling = world.np.arange(1, len(surnames) + 1) ** -0.9
    firsts = chance.choice(list(surnames), n, p=falling / falling.sum())
    weights = world.np.arange(1, len(given) + 1) ** -0.7
    seconds = chance.choice(list(given), (n, 2), p=weights / weights.sum())
    single = chance.random(n) < 0.15
    made = [
        f"{s}{a}" if one else f"{s}{a}{b}" for s, (a, b), one in zip(firsts, seconds, single, strict=True)
    ]
    made[:40] = [f"欧阳{a}{b}" for a, b in seconds[:40]]
    made[40:300] = ["Maria Lopez"] * 130 + ["John Smith"] * 100 + ["Zoë Quux"] * 30
    made[300:305] = ["Дмитрий Ω"] * 5
    return tuple(made)


def test_at_least_one_in_a_thousand_share_what_is_shown() -> None:
    people = city()
    masks = masks_of(people)
    shown = Counter(masks.of(name) for name in people)
    assert min(shown.values()) >= len(people) / 1_000
    assert sum(n for mask, n in shown.items() if mask != HIDDEN) > 0.9 * len(
        people
    )  # and it still tells something
    assert shown["欧阳*"] == 0  # forty are too few
    assert masks.of("Zoë Quux") in ("Z.", HIDDEN)
    assert shown["M.L."] == 130


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(city(400)), min_size=1, max_size=400))
def test_in_any_town_twenty_share_a_mask_or_all_have_the_same(people: list[str]) -> None:
    masks = masks_of(people)
    shown = Counter(masks.of(name) for name in people)
    assert min(shown.values()) >= LEAST or set(shown) == {HIDDEN}


def test_two_doors_that_pool_their_scans_link_nobody_over_days() -> None:
    """100,000 people pass door A one day and door B the next. Both keep all that a code shows: mask, kind, index, list,
    holder key, signature. Index, key and signature are new each day, so what is left to link by is the mask, and that
    finds a person no better than drawing among all who share it."""
    from kangma.credential.index import Permutation  # noqa: PLC0415

    people = city(100_000)
    masks = masks_of(people)
    shown = [masks.of(name) for name in people]
    chance = world.np.random.default_rng(23)
    first, second = (
        Permutation(bytes(range(32)), day, len(people)).all_places().astype(int) for day in ("19110", "19111")
    )
    by_mask: dict[str, list[int]] = {}
    for person, mask in enumerate(shown):
        by_mask.setdefault(mask, []).append(person)
    guessed = len(by_mask)  # expected hits of guessing within the mask: one for each mask
    hits = 0
    for members in by_mask.values():
        a, b = world.np.array(members), world.np.array(members)
        chance.shuffle(a)
        chance.shuffle(b)
        # The best use of two indices there is for somebody without the key: the order of one day as that of the other.
        hits += int((a[world.np.argsort(first[a])] == b[world.np.argsort(second[b])]).sum())
    assert (hits - guessed) / len(people) < 0.001
    # The control: were tomorrow's index in the order of today's, the same two doors would know everybody again.
    everybody = world.np.arange(len(people))
    assert (everybody[world.np.argsort(first)] == everybody[world.np.argsort(first + 7)]).all()
    assert min(len(m) for m in by_mask.values()) >= len(people) / 1_000


def test_codes_of_two_days_share_nothing_but_issuer_mask_and_kind() -> None:
    days = []
    for day in (0, 1):
        uri = f"{world.BASE}/status/{world.TODAY + day}/0"
        phone = world.key(f"phone of day {day}")
        claims = world.phone(
            100 + 17 * day,
            issued=world.midnight(day),
            expires=world.midnight(day + 1),
            uri=uri,
            holder=phone.public.compressed,
        )
        now = world.midnight(day) + 40_000
        found = door(lists={uri: world.status_list(uri, iat=now - 9)}).verify(
            world.shown(claims, at=now, by=phone), now=now
        )
        assert isinstance(found, Verified)
        days.append((claims, found))
    (one, seen_one), (two, seen_two) = days
    same = {
        f
        for f in ("issuer", "issued", "expires", "uri", "index", "kind", "mask", "holder")
        if getattr(one, f) == getattr(two, f)
    }
    assert same == {"issuer", "kind", "mask"}
    assert seen_one.valid_until != seen_two.valid_until
