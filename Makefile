# Everything a newcomer needs. `make run` and `make test` set up what is missing by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ASSETS := admin_ui/assets/built/manifest.json
LAB ?= .run/lab
SECONDS_EACH ?= 300
SECONDS ?= 1800
SEED ?= 1
# Tests that run a whole box mostly wait for it.
WORKERS ?= $(shell expr 2 '*' $$(nproc 2>/dev/null || echo 2))
# uv takes 6 s where pip takes a minute; it reads no pip.conf, so pip is asked where uv finds no way.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python $(1) || $(PIP) $(1)
# Kept bytecode spares each worker the rewriting of every test, also where the environment forbids it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check lint fix fuzz torture screens bench bench-guard lock clean

run: $(STAMP) $(ASSETS)  ## the whole box on loopback, with a small world to send to
	@exec $(BIN)/pillarbox --home $(LAB) lab

test: $(STAMP) $(ASSETS)  ## every test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not alone" && $(BIN)/python -m pytest -m alone tests/acceptance

check: lint  ## format, lint, types, imports, fast tests: before each commit
	@$(BIN)/python -m pytest -n auto tests/unit tests/architecture

lint: $(STAMP) $(ASSETS)  ## format, lint, types (also TypeScript's), imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python admin_ui/assets/build.py --check

fix: $(STAMP)  ## let the formatter and linter mend what they can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

screens: $(STAMP) $(ASSETS)  ## each page of the console in both themes and widths, in .run/screens (with Debian's chromium)
	@$(BIN)/python -m pytest tests/browser --looks all

bench: $(STAMP) $(ASSETS)  ## the relay job beside Postfix + OpenDKIM (as root, with Debian's packages)
	@$(BIN)/python bench/relay_job.py

bench-guard: $(STAMP) $(ASSETS)  ## what a message costs in calls, statements and flushes, beside its bounds
	@$(BIN)/python bench/bench_guard.py

fuzz: $(STAMP) $(ASSETS)  ## every fuzzing target for SECONDS_EACH, with new inputs
	@$(BIN)/python -m pytest -n auto tests/fuzz --fuzz-seconds $(SECONDS_EACH)

torture: $(STAMP) $(ASSETS)  ## a box under faults of every kind for SECONDS, in an order of SEED; prints its ledger
	@$(BIN)/python -m pytest tests/acceptance/torture --torture-seconds $(SECONDS) --torture-seed $(SEED) --torture-report torture-$(SEED).json

lock: $(STAMP)  ## choose the newest versions that the ranges allow
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --extra dev --extra postgres -o requirements.lock pyproject.toml

clean:
	@rm -rf admin_ui/assets/node_modules admin_ui/assets/built $(VENV) .run .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: apt-get install python3 (Debian 12 or newer), or make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv or ensurepip is missing: apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z]/ { wanted = /^uv==/ } wanted' requirements.lock > $(VENV)/uv.lock
	@$(PIP) --require-hashes -r $(VENV)/uv.lock
	@$(call INSTALL,--require-hashes -r requirements.lock)
	@$(call INSTALL,--no-deps --no-build-isolation --editable .)
	@touch $(STAMP)

# The pages' style, script, fonts and icons. npm's packages come by the hashes of package-lock.json.
$(ASSETS): $(shell find admin_ui/assets/css admin_ui/assets/ts -type f) $(wildcard admin_ui/assets/*.json admin_ui/assets/*.mjs admin_ui/assets/*.txt) admin_ui/assets/build.py | $(STAMP)
	@echo "building the console's assets"
	@$(BIN)/python admin_ui/assets/build.py
