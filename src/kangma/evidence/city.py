"""What "in the city" means, and the one name of a county.

Senders write a county in several ways: bare inside the city ("朝阳区"), after the city ("北京市朝阳区", "北京市 朝阳区
潘家园街道"), and in full elsewhere ("吉林省长春市朝阳区", which is another place). Stays, areas and lists are compared by
the name that `City.county` gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_DOUBLED = re.compile(r"(.{2,4}市)\1")  # the official lists write "上海市 上海市 黄浦区"


@dataclass(frozen=True)
class City:
    """The city of a policy: its name and its districts, without the city's name before them.

    `itinerary_days` is how far back an arrival's declared stays are compared with the telephone network's, and
    `telecom_hours` how long the network must have seen somebody somewhere for it to count (policy 7.0, domain 1.3).
    """

    name: str
    districts: tuple[str, ...] = ()
    itinerary_days: int = 14
    telecom_hours: int = 4

    @cached_property
    def _districts(self) -> tuple[str, ...]:
        """Longest first, so that a name that begins another is not mistaken for it."""
        return tuple(
            sorted((_bare(d).removeprefix(self.name) for d in self.districts), key=lambda d: (-len(d), d))
        )

    def in_city(self, county: str) -> bool:
        """Whether a county, as anybody writes it, lies in the city. Elsewhere needs its full name."""
        bare = _bare(county)
        return bool(bare) and (bare.startswith(self.name) or any(bare.startswith(d) for d in self._districts))

    def county(self, written: str) -> str:
        """The one name of a county: the city and the district inside, the full name without spaces elsewhere.

        What is written below the district (a street, a village) is cut off inside the city.
        """
        bare = _bare(written)
        if not self.in_city(bare):
            return bare
        rest = bare.removeprefix(self.name)
        for district in self._districts:
            if rest.startswith(district):
                return self.name + district
        return self.name + rest

    def county_of_area(self, district: str | None, county: str | None) -> str:
        """The one name of the county of an area, whose sender may have put the county in either of two columns.

        The official lists name for the city the district and the street, and elsewhere the prefecture and the county.
        """
        outer, inner = _bare(district or ""), _bare(county or "")
        if not inner or not outer:
            return self.county(inner or outer)
        if outer in inner:  # the county is the fuller name of the two
            return self.county(inner)
        if self.in_city(outer):
            return self.county(inner if self.in_city(inner) else outer)
        if self.in_city(inner) and not inner.startswith(self.name):
            return self.county(outer + inner)  # "朝阳区" of "吉林省长春市"
        return self.county(inner)


def _bare(written: str) -> str:
    return _DOUBLED.sub(r"\1", "".join(written.split()).replace("市辖区", ""), count=1)
