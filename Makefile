# Everything here sets up its own Python environment first; nothing but Python 3.11 or newer is needed.
PY ?= python3
BIN := .venv/bin

.PHONY: demo test test-crash lint docs bench clean

demo: .venv/.ok
	$(BIN)/holdfast demo

test: .venv/.ok
	$(BIN)/python -m pytest -n auto --dist loadfile

# Five hundred kills of a run and of each way of sending, a thousand through a provider on SQLite and on PostgreSQL each,
# fifty freezes, and a death at every commit and call; takes about half an hour. `make test` does a little of each.
test-crash: .venv/.ok
	HOLDFAST_KILLS=500 HOLDFAST_BAD_DAY=100000 $(BIN)/python -m pytest -n 2 tests/crash

lint: .venv/.ok
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

# The parts of the pages that are made from the code; tests/docs fails when they are out of date.
docs: .venv/.ok
	$(BIN)/python docs/generate.py

# Figures, not tests: they print what they measure and never fail for being slow.
bench: .venv/.ok
	set -e; for script in bench/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ok: pyproject.toml constraints.txt
	$(PY) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
