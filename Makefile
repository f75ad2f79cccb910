# Two commands do everything: `make quickstart` and `make test`. Both set up a virtual environment first.
# Beside them: `make docs` builds the site into build/site, `make wheel` what is installed from, and tries it elsewhere.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: quickstart test lint types unit bench torture docs wheel clean

$(STAMP): pyproject.toml constraints.txt tests/play/chromium.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	-$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[javascript]"  # tests of JavaScript skip without it
	-PYTHONPATH=tests $(BIN)/python -m play.chromium  # so do those in a browser; FASTSLOW_BROWSER=0 leaves it out
	touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/fastslow quickstart

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term:skip-covered --cov-fail-under=92

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest benchmarks --benchmark-only -o addopts="--import-mode=importlib"

# Hours of damage and kills in minutes: the long form of tests/robustness; figures go to results/torture.json and
# results/torture_serving.json.
torture: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m robustness.torture
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m robustness.serving

# Every warning is an error: a broken link, a module that cannot be imported, a formula that cannot be shown.
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/sphinx-build -W --keep-going -q -d build/doctrees docs build/site

# In an environment of its own, outside of this folder: what is missing from the wheel is missing there.
wheel: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[release]"
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	fresh=$$(mktemp -d) && $(PYTHON) -m venv $$fresh/venv \
		&& $$fresh/venv/bin/python -m pip install --quiet -c constraints.txt dist/*.whl \
		&& cp tests/installed.py $$fresh && cd $$fresh && venv/bin/python -I installed.py && rm -rf $$fresh

clean:
	rm -rf .venv build dist docs/api *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage*
