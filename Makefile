# Needs Python 3.11 and make. Everything else is installed into .venv from the hashed lock files in locks/, and for the
# pages into web/node_modules from web/package-lock.json. `make run` needs neither Node nor a browser.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
UV := .venv/bin/uv
RESIDENTS ?= 20000
PORT ?= 8080
# A machine whose environment forbids Python to keep what it compiled compiles everything at every start, of which there are hundreds here.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test lint kernel web bench bench-full prove lock clean

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run  ## make a city of 20,000, live its last two weeks, open its pages (RESIDENTS=N, PORT=N; PORT= opens none)
	$(PY) -m kangma demo --residents $(RESIDENTS) $(if $(PORT),--port $(PORT))

test: .venv/.dev  ## lint, types, import contract, then every promise that fits half an hour
	$(MAKE) --no-print-directory -j 2 web/dist/.built lint kernel
	$(PY) -m pytest

lint: .venv/.dev  ## ruff, mypy --strict, import contract
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

kernel: .venv/.run
	$(PY) -c 'from kangma.tracing.kernel import warm; warm()'  # compiled once, and not by every worker of the tests

web: web/dist/.built  ## the pages: types, and one file each in web/dist

bench: .venv/.dev web/dist/.built  ## benchmarks at a size that fits ten minutes
	$(PY) bench/run.py

bench-full: .venv/.dev web/dist/.built  ## benchmarks at the sizes of docs/performance.md
	$(PY) bench/run.py --full

prove: .venv/.dev web/dist/.built  ## the long runs: 100,000 shuffles, 200 kills, whole corpora
	$(PY) -m pytest -m prove -n 2

lock: .venv/.uv  ## resolve the lock files anew (needs a package index)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml -o locks/run.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml --group dev -c locks/run.txt -o locks/dev.txt

clean:  ## remove what was installed and built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist web/node_modules web/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.uv: locks/bootstrap.txt
	@python3 -c 'import sys; sys.exit("Kangma needs Python 3.11 or newer; this is %s" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r locks/bootstrap.txt
	@touch $@

.venv/.run: .venv/.uv locks/run.txt pyproject.toml
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --require-hashes -r locks/run.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.run locks/dev.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --require-hashes -r locks/dev.txt
	@touch $@

# Node is the machine's where it is new enough, else the one that locks/dev.txt brings: web/node.sh finds it.
web/node_modules/.installed: web/package.json web/package-lock.json web/.npmrc | .venv/.dev
	cd web && ./node.sh npm ci --ignore-scripts --loglevel=error
	@touch $@

web/dist/.built: web/node_modules/.installed $(shell find web/src web/test web/*.json web/*.mjs web/*.html -type f)
	cd web && ./node.sh npm run --silent check && ./node.sh npm run --silent build
	@touch $@
