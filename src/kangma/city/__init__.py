"""A seeded, realistic city for demos, tests and benchmarks."""
