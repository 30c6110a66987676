# Two commands: `make demo [DATA=folder]` and `make test`. Both need python3 >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint install results clean

help:
	@echo "make demo              generate motion videos, train and test two models on them, write a report"
	@echo "make demo DATA=folder  the same on your own <class>/*.mp4"
	@echo "make test              lint, types, import layers, tests"
	@echo "make lint              the first three of these"
	@echo "make results           write docs/results.md from results/ (ADD=run takes a run over first)"
	@echo "make clean             remove .venv and caches; runs/ stays"

install: $(STAMP)

# Built from exact pins. The stamp is written last, so an interrupted installation starts over.
$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) must be Python 3.11 or newer; name another one: make PYTHON=python3.12 ..." >&2; \
		exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/kinema demo $(if $(DATA),"$(DATA)") $(if $(OUT),--out "$(OUT)")

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS)

results: $(STAMP)
	$(BIN)/python benchmarks/results.py $(if $(ADD),--add $(ADD))

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
