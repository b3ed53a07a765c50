# Every target does its own set-up in .venv and is fast when nothing has changed.
# The only things needed before: make, and Python 3.11 or newer with venv (`make PYTHON=python3.13 ...` picks one).

PYTHON ?= python3
TRANSPORT ?= http1
VENV := .venv
BIN := $(VENV)/bin
# pip warns about everything that could be better; what matters it says as an error.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --require-virtualenv

.PHONY: serve test check format bench demo screenshots lock services clean

serve: $(VENV)/.runtime  ## Run the proxy; ARGS="--port 9000" passes flags on
	$(BIN)/llm-proxy serve $(ARGS)

demo: $(VENV)/.runtime  ## Send scripted calls through a private proxy and show what was recorded
	$(BIN)/llm-proxy demo $(ARGS)

test: check services  ## Everything CI runs; ARGS="-k relay" narrows it down, TRANSPORT=httpx runs it over httpx
	LLM_PROXY_UPSTREAM_TRANSPORT=$(TRANSPORT) $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

check: $(VENV)/.dev  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev services  ## Measure against nginx and a naive proxy, in one run
	$(BIN)/python -m bench $(ARGS)

screenshots: $(VENV)/.dev services  ## Take the pictures in docs/pictures anew, of the pages with the demo's data
	$(BIN)/python tests/pictures.py docs/pictures

services:  ## The servers that tests and benchmark start by themselves, on ports of their own
	@tests/bin/install-services

lock: $(VENV)/.dev  ## Renew the lock files from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra oidc --extra postgres --group build --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --quiet --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The build back end is locked, too: nothing is fetched that is not in the lock file.
$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes --requirement requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name another one: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/bin/install-services venv
	$(PYTHON) -m venv $(VENV)
