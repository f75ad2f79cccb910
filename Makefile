# Two commands do everything: `make quickstart` and `make test`. Both set up a virtual environment first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: quickstart test lint types unit bench torture clean

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
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=92

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest benchmarks --benchmark-only -o addopts="--import-mode=importlib"

# Hours of damage and kills in minutes: the long form of tests/robustness; figures go to results/torture.json and
# results/torture_serving.json.
torture: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m robustness.torture
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m robustness.serving

clean:
	rm -rf .venv build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage*
