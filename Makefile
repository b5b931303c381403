# Every target works on a fresh clone: it makes .venv first, from requirements.lock (.ci/venv says how).
.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format types notebooks lock venv clean

PYTHON := .venv/bin/python
UV := uv
ARGS :=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: venv ## a sweep on real handwriting: prints the table, writes the plot and the report
	@.venv/bin/lambdapress sweep sweeps/digits.gin --out runs/digits
	@.venv/bin/lambdapress report runs/digits

PYTEST := $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist worksteal
APART := tests/tasks/test_official_coverage.py tests/architectures

test: venv ## every property once, in up to 4 processes; ARGS="-k entropy" picks some
	@$(PYTEST) -m "not slow" $(ARGS)

# In processes that thousands of tests have run in, whole networks take twice as long.
test-all: venv ## and the slow tests: larger sizes, more cases, notebooks, Official Models (docs/testing.md)
	@$(PYTEST) $(addprefix --ignore=,$(APART)) $(ARGS)
	@$(PYTEST) $(APART) $(ARGS)

lint: venv ## ruff: rules and format
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

format: venv ## ruff: mends what it can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

types: venv ## pyright on the package
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PYTHON) -m pyright

notebooks: venv ## executes the notebooks anew and saves them; ARGS=NAME.ipynb for one
	@$(PYTHON) notebooks/run.py $(ARGS)

lock: ## requirements.lock anew from setup.py, with as few changes as can be; ARGS=--upgrade for the newest
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile setup.py --extra dev --universal \
		--python-version 3.10 --generate-hashes --no-emit-index-url --quiet $(ARGS) -o requirements.lock

venv: ## .venv with everything that the lock file names
	@sh .ci/venv

clean: ## removes .venv and everything that was built; runs/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
