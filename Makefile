# Everything here sets up its own Python environment first; nothing but Python 3.11 or newer is needed.
PY ?= python3
BIN := .venv/bin

.PHONY: demo test test-crash lint docs bench clean

demo: .venv/.ok
	$(BIN)/holdfast demo

test: .venv/.ok
	$(BIN)/python -m pytest -n auto --dist loadfile

# Two hundred kills of a run, of a delivery to a folder and of one over SMTP; `make test` kills a few times only.
test-crash: .venv/.ok
	HOLDFAST_KILLS=200 $(BIN)/python -m pytest tests/crash

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
