# On a fresh machine with Python 3.11 and make, `make demo` and `make test` are each the only command. With uv, Python
# is optional: uv finds a Python 3.11 outside PATH too, or installs it. PYTHON=python3.12 chooses another version.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
PYTHON_VERSION := $(PYTHON:python3%=3%)
DATA ?=

# Empty: `make lock` records new requirements and keeps the versions of the others.
UPGRADE ?= --upgrade

# The base image of the container with its digest; `make image` says how to find it.
BASE ?=

.PHONY: install demo test slow check docs lock sbom image format clean help

help:             ## list the targets
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# The versions of uv.lock, which constraints.txt repeats for pip.
$(STAMP): pyproject.toml constraints.txt
ifdef UV
	$(UV) venv --quiet --seed --allow-existing --python $(PYTHON_VERSION) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
endif
	@touch $@

install: $(STAMP) ## the package and the tools for development, into .venv; the other targets do this first

demo: $(STAMP)    ## run the pipeline once, offline, in about a minute; DATA=fer2013.csv for the real file
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

docs: $(STAMP)    ## build the documentation site into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock:             ## update uv.lock and constraints.txt to the newest versions that fit (needs uv); UPGRADE= keeps versions
	uv lock $(UPGRADE)
	echo "# The versions of uv.lock that the tests run with, for pip; written by \`make lock\`." > constraints.txt
	uv export --quiet --frozen --no-hashes --no-emit-project --extra dev --no-header --no-annotate >> constraints.txt
	uv export -q --frozen --extra serve --extra heif --no-dev --no-emit-project -o container/requirements.txt
	uv run -q --no-project --python $(PYTHON_VERSION) python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	  | UV_CUSTOM_COMPILE_COMMAND='make lock' uv pip compile -q --generate-hashes --python-version 3.11 - -o container/build-requirements.txt

sbom:             ## write sbom.json, the CycloneDX bill of materials of the container (needs uv)
	uv export -q --preview-features sbom-export --frozen --extra serve --extra heif --no-dev --format cyclonedx1.5 -o sbom.json

image:            ## build the container image; BASE=python:3.11-slim-bookworm@sha256:DIGEST (needs docker)
	@sh container/require_digest.sh "$(BASE)"
	docker build --build-arg PYTHON_IMAGE="$(BASE)" -t mien .

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:            ## remove everything that was installed and built here
	rm -rf $(VENV) demo runs site .pytest_cache .mypy_cache .ruff_cache .hypothesis
