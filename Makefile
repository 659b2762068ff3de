# What can be done here; `make` alone lists it. ARGS="..." goes to the command behind a target.
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin
PYTHON := $(BIN)/python
PLATFORM := $(BIN)/crypto-platform
INSTALLED := .venv/installed
SERVERS := .venv/servers
BROWSER := .venv/browser
DOCS := .venv/docs
DOCS_LOCK := docs/requirements.lock
ARGS ?=

# The first Python that is new enough, unless one is named: make PYTHON3=/opt/python/bin/python3
PYTHON3 ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done)

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(SERVERS)  ## Fetch everything needed, into .venv and the user's cache
	@echo "ready: make up"

$(INSTALLED): requirements.lock pyproject.toml bootstrap.py
	@if [ -z "$(PYTHON3)" ]; then \
		echo "Python 3.11 or later is needed; found: $$(python3 --version 2>&1)." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install" >&2; \
		echo "python@3.13), or name one: make $(MAKECMDGOALS) PYTHON3=/path/to/python3" >&2; \
		exit 1; \
	fi
	@$(PYTHON3) bootstrap.py

$(SERVERS): $(INSTALLED) crypto_platform/stack/kafka.py
	@$(PYTHON) -m crypto_platform.stack.install
	@touch $@

$(BROWSER): $(INSTALLED) tests/chromium.py
	@$(PYTHON) -m tests.chromium
	@touch $@

# An environment of its own: what writes pages has no business among what moves records.
$(DOCS)/installed: $(INSTALLED) $(DOCS_LOCK)
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(DOCS)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(DOCS)/bin/python $(DOCS_LOCK)
	@touch $@

# For what must work beside a running stack: installed if it never was, never renewed under it.
$(PLATFORM):
	@$(MAKE) $(INSTALLED)

.PHONY: up
up: $(SERVERS)  ## Start everything and show it live; Ctrl-C stops it
	@$(PLATFORM) up $(ARGS)

.PHONY: down
down: | $(PLATFORM)  ## Stop it from another terminal
	@$(PLATFORM) down $(ARGS)

.PHONY: status
status: | $(PLATFORM)  ## Say what runs, what lags and what needs a person
	@$(PLATFORM) status $(ARGS)

# Each worker has servers of its own, of about 1.3 GB; a file's tests stay with one of them. Files
# are handed out in the order of tests/conftest.py.
WORKERS ?= 2
.PHONY: test
test: $(SERVERS) $(BROWSER)  ## Run all tests but the slow ones (WORKERS=2)
	@$(PYTHON) -m pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile \
		--no-loadscope-reorder $(ARGS)

.PHONY: test-fast
test-fast: $(INSTALLED)  ## Run the tests that need no server
	@$(PYTHON) -m pytest -m "not slow and not servers" $(ARGS) tests/unit tests/contract

.PHONY: test-crash
test-crash: $(SERVERS)  ## Every fault of docs/faults.md: nothing may be lost or repeated
	@$(PYTHON) -m pytest $(ARGS) tests/crash tests/servers/test_load.py tests/servers/test_answers.py tests/servers/test_failover.py tests/servers/test_restore.py

.PHONY: test-clusters
test-clusters: $(SERVERS)  ## Lose one of three brokers, then one of three mongod, under traffic
	@$(PYTHON) -m pytest -s $(ARGS) tests/crash/test_clusters.py

.PHONY: test-upgrade
test-upgrade: $(SERVERS)  ## Take over a data folder of an earlier release, out of the history
	@$(PYTHON) -m pytest $(ARGS) tests/servers/test_upgrade.py

.PHONY: test-browser
test-browser: $(SERVERS) $(BROWSER)  ## The dashboard's pages in a real browser, on a running stack
	@$(PYTHON) -m pytest $(ARGS) tests/browser

.PHONY: test-ui
test-ui: $(SERVERS)  ## What people see and do in Dagster's UI, accounts and their mending too
	@$(PYTHON) -m pytest $(ARGS) tests/servers/test_dagster_ui.py

.PHONY: test-history
test-history: $(SERVERS)  ## Backfill a year; charts, gap report and reports have to follow by themselves
	@$(PYTHON) -m pytest $(ARGS) tests/servers/test_history_reaches_people.py

.PHONY: test-docs
test-docs: $(SERVERS)  ## Type every command of README.md and docs/, do the tutorials in a fresh clone
	@$(PYTHON) -m pytest $(ARGS) tests/unit/test_documents.py tests/servers/test_documents.py tests/servers/test_tutorials.py

.PHONY: test-docker
test-docker: $(SERVERS)  ## docker-compose.yml for real; needs a Docker engine (KAFKA_IMAGE=... for other images)
	@$(PYTHON) -m pytest $(ARGS) tests/servers/test_compose_services.py tests/docker

MINUTES ?= 20
.PHONY: soak
soak: $(SERVERS)  ## Hit a loaded platform with random faults, then audit (MINUTES=20 ARGS="--seed N")
	@$(PYTHON) -m tests.soak --minutes $(MINUTES) $(ARGS)

.PHONY: check
check: $(INSTALLED)  ## Look for faults in style, types, imports, the Dockerfile and the compose file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright --pythonpath $(PYTHON)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/docker-runs.yml

.PHONY: format
format: $(INSTALLED)  ## Rewrite the code in the one style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

# setuptools is named beside the project's needs: it builds the editable install, offline.
.PHONY: lock
lock: $(INSTALLED)  ## Write both requirements.lock anew (ARGS=--upgrade takes newer versions)
	@echo setuptools | $(BIN)/uv pip compile pyproject.toml - --all-extras --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --output-file requirements.lock $(ARGS)
	@$(BIN)/uv pip compile --group docs --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" --quiet --output-file $(DOCS_LOCK) $(ARGS)

.PHONY: audit-dependencies
audit-dependencies: $(INSTALLED)  ## Ask OSV for known holes in what is locked; 1 where any is unasked
	@$(PYTHON) deploy/audit_dependencies.py $(ARGS)

SBOM := build/sbom.json
.PHONY: sbom
sbom: $(INSTALLED)  ## Write build/sbom.json: what is installed, with licences (CycloneDX)
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-file $(SBOM) $(PYTHON)
	@echo "written: $(SBOM)"

.PHONY: migration
migration: $(SERVERS)  ## Write a revision of the tables (MESSAGE="what it does"; needs a running stack)
	@$(PLATFORM) exec $(ARGS) -- python -m crypto_platform.migrations revision -m "$(MESSAGE)"

.PHONY: bench
bench: $(SERVERS)  ## Measure rate and latency on this machine
	@$(PYTHON) -m benchmarks $(ARGS)

.PHONY: bench-months
bench-months: $(SERVERS)  ## Write a month of Dagster's history (an hour of ./data, 720 times)
	@$(PYTHON) -m benchmarks months $(ARGS)

# Not --quiet: what MkDocs does not say it does not count, and --strict lets it pass.
.PHONY: docs
docs: $(DOCS)/installed  ## Write the documentation as a site into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict

.PHONY: reference
reference: $(INSTALLED)  ## Write docs/reference anew, from the code
	@$(PYTHON) -m docs.reference

.PHONY: screenshots
screenshots: $(BROWSER)  ## Take docs/images anew, of a running stack
	@$(PLATFORM) exec $(ARGS) -- sh -c \
		'$(PYTHON) -m docs.images.take "$$CRYPTO_PLATFORM_DAGSTER__WEBSERVER_URL" && \
		$(PYTHON) -m docs.images.take_dashboard "$$CRYPTO_PLATFORM_API__URL"'

.PHONY: clean
clean:  ## Remove the environment and caches; data stay (make down ARGS=--wipe deletes them)
	@rm -rf .venv .venv.lock build dist *.egg-info .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	@find crypto_platform tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
