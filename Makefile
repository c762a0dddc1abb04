# Needs Python 3.11 or newer, make and a package index. Everything else is installed into .venv.
#
#   make demo    a license out of a signed webhook, in one command; with DEMO_SERVER=licensespring on LicenseSpring
#   make test    everything CI runs
#   make run     web server and worker on this machine's embedded PostgreSQL; SERVE_ARGS="--port 8001"
#   make bench   measure on this machine; about a minute with BENCH_ARGS=--quick
#   make bench-admin   every page of the console with a million events; sooner with BENCH_ARGS=--quick
#   make screenshots   take the pictures of the console in the documentation again
#   make format  let ruff rewrite what it can

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tools that load the settings must not read anybody's own configuration.
IN_TESTS := DJANGO_SETTINGS_MODULE=tests.settings

.DEFAULT_GOAL := help
.PHONY: help demo test lint types pytest chromium run bench bench-admin screenshots format hooks clean

help:
	@sed -n 's/^#   //p' Makefile

# The demo has a database of its own, so that nobody's real one ever holds pretend purchases.
demo: $(VENV)/.installed
	@ENV_FILE= DATABASE_URL= EMBEDDED_POSTGRES_DIR="$(CURDIR)/var/demo" $(BIN)/python manage.py demo \
	  --server "$(or $(DEMO_SERVER),cryptlex)" $(if $(DEMO_EXIT),--exit)

test: lint types pytest

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(IN_TESTS) $(BIN)/python manage.py makemigrations --check --dry-run
	@$(IN_TESTS) $(BIN)/python manage.py check --fail-level WARNING

types: $(VENV)/.installed-dev
	@SECRET_KEY=none DATABASE_URL=postgresql:///none ENV_FILE= $(BIN)/mypy

pytest: $(VENV)/.installed-dev chromium
	@$(BIN)/pytest --numprocesses auto --dist worksteal --cov --cov-report term $(PYTEST_ARGS)

# The tests of the console want a Chromium. Where there is none and we may, it comes from the distribution's packages;
# else those tests are skipped, and say so.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1; } || \
	  echo "No Chromium was found or could be installed: the browser tests are skipped."

run: $(VENV)/.installed
	@$(BIN)/python manage.py migrate -v 0
	@trap 'trap - INT TERM EXIT; kill $$pids 2>/dev/null; wait' INT TERM EXIT; \
	  $(BIN)/python manage.py worker & pids=$$!; \
	  $(BIN)/python manage.py serve $(SERVE_ARGS) & pids="$$pids $$!"; \
	  wait

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-admin: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.console $(BENCH_ARGS)

screenshots: $(VENV)/.installed-dev chromium
	@$(BIN)/python -m tests.browser.screenshots

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

hooks: $(VENV)/.installed-dev
	@$(BIN)/pre-commit install

# Removes what was installed and measured; var/ holds data and stays.
clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.* htmlcov

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	@echo "Installing packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing packages and tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(VENV)/.installed $@
