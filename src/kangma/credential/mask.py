"""The mask of a name: as much of it as at least one in 1,000 residents share.

A door compares it with the name on a card; whoever collects masks learns next to nothing. A common name may show two
characters, a rare one none. What counts is how many are *shown* the same mask: someone called 张 whose fellows all show
张*伟 must not be the only 张* in the city.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kangma.credential.claims import MOST_MASK

ONE_IN = 1_000
LEAST = 20  # persons who share a mask, in a town however small
HIDDEN = "*"  # in place of one character or several: length is not told
#: Surnames of two characters that are borne today; any other name has one.
_DOUBLE = frozenset(
    re.findall(
        "..",
        "欧阳司马上官诸葛东方皇甫尉迟公孙慕容令狐长孙宇文司徒夏侯端木百里东郭南宫呼延独孤轩辕司空太史申屠公冶濮阳澹台"
        "淳于单于钟离赫连闻人万俟鲜于闾丘",
    )
)


def candidates(name: str) -> tuple[str, ...]:
    """Masks of a name, the most telling first; the last one is `*`. None of them shows a whole name.

    Of 张三丰: 张*丰, 张*, *丰. Of 欧阳娜娜: 欧阳*娜, 欧阳*, *娜. Of 阿迪力·买买提: 阿*·买*, 阿*. Of Maria Lopez: M.L., M.
    """
    name = unicodedata.normalize("NFKC", name).strip()
    parts = [p for p in name.replace("•", "·").replace("・", "·").split("·") if p]
    if len(parts) > 1 and all(_chinese(p) for p in parts):
        found = [f"{parts[0][0]}{HIDDEN}·{parts[-1][0]}{HIDDEN}", f"{parts[0][0]}{HIDDEN}"]
    elif _chinese(name) and len(name) >= 2:
        surname = name[:2] if name[:2] in _DOUBLE and len(name) > 2 else name[0]
        given = name[len(surname) :]
        found = [f"{surname}{HIDDEN}{given[-1]}"] if len(given) > 1 else []
        found += [f"{surname}{HIDDEN}", f"{HIDDEN}{given[-1]}"]
    elif letters := [w[0].upper() for w in name.split() if _latin(w[0])]:
        found = [f"{letters[0]}.{letters[-1]}."] if len(letters) > 1 else []
        found += [f"{letters[0]}."]
    else:
        found = []
    return (*(m for m in found if len(m.encode()) <= MOST_MASK), HIDDEN)


def _chinese(text: str) -> bool:
    return bool(text) and all(unicodedata.name(c, "").startswith("CJK UNIFIED IDEOGRAPH") for c in text)


def _latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN ")


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks that a city uses. Each is shown by one in 1,000 residents at least; `*` stands for everybody else."""

    used: frozenset[str]

    def of(self, name: str) -> str:
        """The mask of a resident, or of somebody who came since."""
        return next((m for m in candidates(name) if m in self.used), HIDDEN)


def masks_of(names: Iterable[str]) -> Masks:
    """The masks for a city whose residents have these names, each as telling as may be.

    Everybody takes their most telling mask in use. A mask that too few would show goes out of use, until none does; and
    if then too few were left with `*`, the least shown mask goes too, so that `*` is shared as well.
    """
    wanted = Counter(candidates(name) for name in names)
    least = max(LEAST, -(-wanted.total() // ONE_IN))
    used = {mask for several in wanted for mask in several} - {HIDDEN}
    while True:
        shown = _shown(wanted, used)
        few = {mask for mask in used if shown[mask] < least}
        if not few and used and 0 < shown[HIDDEN] < least:
            few = {min(used, key=lambda mask: (shown[mask], mask))}
        if not few:
            return Masks(frozenset(used))
        # The most telling ones go first: whoever loses one may be what another mask lacked.
        length = max(len(mask) for mask in few)
        used -= {mask for mask in few if len(mask) == length}


def _shown(wanted: Mapping[tuple[str, ...], int], used: set[str]) -> Counter[str]:
    shown: Counter[str] = Counter()
    for several, persons in wanted.items():
        shown[next((m for m in several if m in used), HIDDEN)] += persons
    return shown
