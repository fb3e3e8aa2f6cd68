"""A seeded city for demos, tests and benchmarks: people, places, days, and an epidemic along real meetings."""

from kangma.city.map import Community
from kangma.city.run import City, make_city
from kangma.city.write import write_city

__all__ = ["City", "Community", "make_city", "write_city"]
