"""What all tests share: properties are not timed. A slow machine is no broken promise; benchmarks measure speed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("kangma", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kangma")
