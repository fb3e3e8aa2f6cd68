"""What a policy says of tracing: data, without the engines that follow it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompanionRule:
    """More than `min_minutes` in one stretch, and more than `min_hours` in all within `days`, in one cell."""

    cell_metres: int = 800
    min_minutes: int = 10
    min_hours: int = 30
    days: int = 14
    either: bool = True  # the case's own long stay in the cell will do as well as the companion's


@dataclass(frozen=True, slots=True)
class TracingRule:
    """What a policy says of tracing. Without a companion rule nobody is a companion."""

    min_overlap_minutes: int = 10
    linger_minutes: int = 0  # for which a place stays infectious after the case left it
    look_back_days: int = 2
    companion: CompanionRule | None = CompanionRule()
