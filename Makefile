# On a fresh machine with Python 3.11 and make, `make demo` and `make test` are each the only command.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?=

.PHONY: demo test slow check format clean help

help:             ## say what there is
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)    ## the main job once, offline, about a minute of work; DATA=fer2013.csv for the real file
	$(BIN)/mien demo $(if $(DATA),--data $(DATA))

test: $(STAMP)    ## the default tests, under two minutes on two cores
	$(BIN)/pytest -q -n 2

slow: $(STAMP)    ## the tests that take longer
	$(BIN)/pytest -q -n 2 --dist loadfile -m slow

check: $(STAMP)   ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)  ## put the code into its usual shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:            ## remove what was installed and made here
	rm -rf $(VENV) demo runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
