"""What the synthetic city is made of before anybody lives in it: districts, syllables, word lists, chances.

The sixteen districts carry their real names and approximate populations of the 2020 census (in ten thousands, from
general knowledge, rounded). Their rectangles are coarse, disjoint and ours. Everything else (streets, communities,
people, firms, places outside) is composed from syllables and exists nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Words = NDArray[np.uint16]
Flags = NDArray[np.bool_]

CITY = "北京市"
TIME_ZONE = "Asia/Shanghai"
HOUR, MINUTE, DAY = 3_600, 60, 86_400
NEVER = np.int32(2**31 - 1)  # an event that does not happen; seconds since the first midnight never get there


@dataclass(frozen=True, slots=True)
class District:
    """A rectangle in units of 1e-5 degrees, `south <= lat < north`, `west <= lon < east`."""

    name: str
    people: int  # ten thousands, for the weights only
    south: int
    north: int
    west: int
    east: int


DISTRICTS = (
    District("东城区", 71, 3987000, 3997000, 11639000, 11645000),
    District("西城区", 111, 3987000, 3997000, 11632000, 11639000),
    District("朝阳区", 345, 3981000, 4006000, 11645000, 11662000),
    District("丰台区", 202, 3977000, 3987000, 11615000, 11645000),
    District("石景山区", 57, 3987000, 3995000, 11613000, 11623000),
    District("海淀区", 313, 3997000, 4012000, 11610000, 11638000),
    District("门头沟区", 39, 3988000, 4005000, 11580000, 11610000),
    District("房山区", 131, 3955000, 3975000, 11580000, 11618000),
    District("通州区", 184, 3970000, 3998000, 11662000, 11685000),
    District("顺义区", 132, 4008000, 4025000, 11655000, 11685000),
    District("昌平区", 227, 4012000, 4028000, 11610000, 11645000),
    District("大兴区", 199, 3955000, 3977000, 11625000, 11655000),
    District("怀柔区", 44, 4030000, 4050000, 11655000, 11675000),
    District("平谷区", 46, 4010000, 4025000, 11700000, 11720000),
    District("密云区", 53, 4030000, 4050000, 11680000, 11705000),
    District("延庆区", 35, 4035000, 4055000, 11590000, 11615000),
    District("环都县", 0, 3970000, 3990000, 11690000, 11710000),  # outside the city; commuters live here
)
OUTSIDE = 16  # index of the last one
INSIDE = OUTSIDE  # number of districts in the city

# An 800 m cell at 40° north in units of 1e-5 degrees; counted from a corner south-west of everything.
CELL_LAT, CELL_LON = 719, 937
CORNER_LAT, CORNER_LON = 3940000, 11540000


class Stream(IntEnum):
    """One independent stream of chance per purpose, so that a change in one part leaves the others as they were."""

    HOUSEHOLDS = 1
    PAPERS = 2
    MAP = 3
    HABITS = 4
    TRAVEL = 5
    DOSES = 6
    PLAN = 7
    ERRANDS = 8
    INFECTION = 9
    SAMPLING = 10
    CLINIC = 11
    SEEDS = 12


def chance(seed: int, stream: Stream, *where: int) -> np.random.Generator:
    """The generator of one stream at one place (a day, a chunk of residents): the same wherever it is drawn."""
    return np.random.Generator(np.random.PCG64DXSM([seed, int(stream), *where]))


def words(rng: np.random.Generator, n: int) -> Words:
    """(n,) uniform 16-bit words. Integer thresholds and shifts, so that no machine rounds differently."""
    return rng.integers(0, 65_536, n, dtype=np.uint16)


def share(p: float) -> np.uint16:
    """`word < share(p)` holds with probability p."""
    return np.uint16(min(65_535, int(p * 65_536)))


def between(word: Words, low: int, high: int) -> Ints:
    """Uniform whole numbers in [low, high) from 16-bit words; high - low at most 32,767."""
    return (low + ((word.astype(np.int32) * (high - low)) >> 16)).astype(np.int32)


def pick(word: Words, weights: tuple[int, ...]) -> NDArray[np.uint8]:
    """Index drawn by integer weights from 16-bit words."""
    edges = np.cumsum(np.array(weights, dtype=np.int64)) * 65_536 // sum(weights)
    table = np.searchsorted(edges, np.arange(65_536), side="right").astype(np.uint8)
    out: NDArray[np.uint8] = table[word]
    return out


def zipf_table(count: int) -> Words:
    """(65536,) ranks 0..count-1 drawn with weight 1 / (rank + shift), shift = 1 + min(10, count / 20).

    Zipf-Mandelbrot with exponent 1: the shift keeps the first mall of a large city from serving a tenth of it.
    Divisions and a running sum only: every machine makes the same table.
    """
    weight = 1.0 / (np.arange(count, dtype=np.float64) + 1.0 + min(10, count // 20))
    edges = np.cumsum(weight)
    at = (np.arange(65_536, dtype=np.float64) + 0.5) / 65_536.0 * edges[-1]
    ranks: Words = np.searchsorted(edges, at, side="right").clip(0, count - 1).astype(np.uint16)
    return ranks


# Syllables. Family names are words that are hardly ever family names; the last ones are long or rare on purpose
# (four characters with a middle dot, characters outside the basic plane).
FAMILY = (
    "云", "岚", "霁", "川", "汀", "泽", "溪", "峦", "曦", "澜", "沐", "栖", "砚", "棠", "苇", "禾", "陌", "屿",
    "湄", "朔", "岫", "筠", "蒹", "葭", "苍", "暮", "晴", "雾", "霜", "露", "星", "月", "桥", "渡", "亭", "檐", "窗",
    "舟", "帆", "桨",
    "青山", "白石", "长风", "远水", "𬙂", "䶮", "𠅤", "㛃",
)  # fmt: skip
GIVEN = (
    "一", "二", "三", "五", "七", "九", "十", "百", "千", "万", "甲", "乙", "丙", "丁", "戊", "己", "东", "西",
    "南", "北",
    "春", "夏", "秋", "冬", "晨", "午", "昏", "夜", "初", "末", "上", "下", "左", "右", "中", "前", "后", "圆",
    "方", "尖",
    "红", "橙", "黄", "绿", "靛", "紫", "灰", "褐", "古丽样本·测试提", "木拉提样本·长名字·再长一些",
    "𬭩", "𪚥", "𬱟", "㐂",
)  # fmt: skip
LATIN = (
    "ka",
    "mo",
    "tel",
    "dren",
    "vi",
    "sun",
    "por",
    "lia",
    "zeb",
    "quo",
    "ner",
    "ath",
    "Øy",
    "çi",
    "ñu",
    "ž",
)

STREET = (
    "青岚",
    "霁川",
    "汀兰",
    "栖霞",
    "砚池",
    "棠梨",
    "苇湖",
    "禾田",
    "陌桑",
    "屿南",
    "湄水",
    "朔风",
    "岫云",
    "筠园",
)
HAMLET = (
    "一里", "二里", "三里", "东里", "西里", "南里", "北里", "前街", "后街", "新苑", "旧苑", "水畔", "桥头", "林间",
)  # fmt: skip

FOREIGN = ("DEU", "FRA", "GBR", "USA", "JPN", "KOR", "SGP", "NZL", "BRA", "KEN", "EGY", "PAK", "KAZ", "THA")
PORTS = (
    ("首都机场样本口岸", "北京市"),
    ("东海样本口岸", "上海市"),
    ("南海样本口岸", "广州市"),
    ("西部样本口岸", "成都市"),
)
MEANS = ("train", "plane", "car", "coach")
SYMPTOMS = (
    "fever", "dry_cough", "fatigue", "sore_throat", "loss_of_smell", "loss_of_taste", "nasal_congestion", "runny_nose",
    "conjunctivitis", "myalgia", "diarrhoea",
)  # fmt: skip
MEDICINES = ("antipyretic", "cough", "antibiotic", "antiviral")
PRODUCTS = ("inactivated-a", "inactivated-b", "subunit-c", "vector-d")
OCCUPATIONS = ("", "courier", "cold_chain", "health_worker", "commuter")
EVERY_DAYS = (0, 2, 3, 1, 14)

# Places outside the city: (county, land border, infections since day, until day or None, a risk area of it, its level).
# Days are counted from the first day of the run.
COUNTIES: tuple[tuple[str, bool, int, int | None, str, str], ...] = (
    ("霁川省云岫县", False, -18, None, "霁川省/云岫县/棠梨镇/北里村", "high"),
    ("霁川省栖霞区", False, -9, None, "霁川省/栖霞区/砚池街道/新苑社区", "medium"),
    ("汀兰省苇湖市", False, -30, -12, "", ""),
    ("汀兰省禾田县", False, -6, None, "汀兰省/禾田县/陌桑镇/水畔村", "medium"),
    ("朔风自治区边样县", True, -60, -40, "", ""),
    ("朔风自治区口样市", True, -5, None, "朔风自治区/口样市/屿南镇/桥头村", "high"),
    ("岫云省界样县", True, -90, -70, "", ""),
    ("湄水省筠园区", False, 3, None, "", ""),
    ("湄水省青岚县", False, -20, 5, "", ""),
)
CLEAN = ("汀兰省霁样县", "湄水省汀样市", "岫云省棠样区", "朔风自治区禾样县", "霁川省陌样市", "环都县")
LABS = tuple(f"样本检测实验室{c}" for c in "甲乙丙丁戊己庚辛壬癸")
