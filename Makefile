# Each target sets up what it needs in .venv. A stamp file there remembers each installation, so that nothing is done twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# -P keeps the repository root off the import path: only `loragraph` is importable from it, not `nodes` or `ui`.
MODULE := $(BIN)/python -P -m
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --constraint constraints.txt

RUNTIME := $(VENV)/.installed-runtime
TOOLS := $(VENV)/.installed-tools
RASTERISER := $(VENV)/.installed-rasteriser
# The canvas is built ahead and kept in ui/static, so that only those who change ui/web need Node.js.
WEB := ui/web
MODULES := $(WEB)/node_modules/.package-lock.json
# A folder with one link, `loragraph`, for mypy: it names modules by folders and knows nothing of editable installs.
NAMED := $(VENV)/named

.DEFAULT_GOAL := help
.PHONY: help setup demo ui web test test-slow check check-web bench embedded-model clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml setup.py constraints.txt | $(BIN)/python
	@echo "Installing LoRAGraph and what it needs in $(VENV); the first time, this takes minutes."
	$(INSTALL) setuptools
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(TOOLS): $(RUNTIME)
	$(INSTALL) --no-build-isolation --editable '.[test,check]'
	@mkdir -p $(NAMED) && ln -sfn ../.. $(NAMED)/loragraph
	@touch $@

$(RASTERISER): $(RUNTIME)
	$(INSTALL) --no-build-isolation --editable '.[build-model]'
	@touch $@

setup: $(TOOLS) ## install LoRAGraph and its development tools in .venv

demo: $(RUNTIME) ## teach the embedded model a style; pictures and figures in out/demo
	@rm -rf out/demo
	$(BIN)/loragraph run workflows/teach_a_style.json --out out/demo
	$(MODULE) loragraph.diffusion.embedded.measure out/demo
	@echo "Look at out/demo/grid-0001.png: the same prompts without and with the LoRA."

ui: $(RUNTIME) ## start `loragraph ui`
	$(BIN)/loragraph ui

$(MODULES): $(WEB)/package.json $(WEB)/package-lock.json
	@command -v npm >/dev/null || { echo "The canvas is built with npm: install Node.js 20.19 or newer first." >&2; exit 1; }
	cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

web: $(MODULES) ## build the canvas from ui/web into ui/static (needs npm)
	cd $(WEB) && npm run build

# A browser, its server and a worker keep two processors busy by themselves, so those tests come one by one.
test: $(TOOLS) ## run the tests, but for the slow ones
	@status=0; \
	$(BIN)/pytest -q -m 'not slow' --numprocesses 2 --dist loadfile --ignore tests/ui/browser || status=1; \
	$(BIN)/pytest -q -m 'not slow' tests/ui/browser || status=1; \
	exit $$status

test-slow: $(TOOLS) ## run the slow tests
	$(BIN)/pytest -q -m slow

check: $(TOOLS) ## lint, formatting and types
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	MYPYPATH=$(NAMED) $(BIN)/mypy --package loragraph || status=1; \
	exit $$status

check-web: $(MODULES) ## the canvas: types, lint, unit tests, and whether ui/static is what ui/web builds
	@status=0; \
	cd $(WEB) && npm run check || status=1; \
	npm test || status=1; \
	rm -rf ../../build/static && npm run build -- --outDir ../../build/static --logLevel warn || status=1; \
	diff -r ../../build/static ../static || { echo "ui/static is not what ui/web builds: run 'make web'." >&2; status=1; }; \
	exit $$status

bench: $(TOOLS) ## measure scheduler, training step, LoRA engine (20 GB of disk) and canvas (needs Chromium)
	$(MODULE) loragraph.benchmarks.scheduler
	$(MODULE) loragraph.benchmarks.train_step
	$(MODULE) loragraph.benchmarks.lora
	$(MODULE) loragraph.benchmarks.canvas

embedded-model: $(RASTERISER) ## train the embedded model anew, stage by stage in .build (hours; resumable; needs npm)
	@command -v npm >/dev/null || { echo "make embedded-model fetches its artwork with npm: install Node.js first." >&2; exit 1; }
	$(MODULE) loragraph.diffusion.embedded.build all

clean: ## remove results, caches and build folders; .venv and .build (states of the embedded model) stay
	rm -rf out build dist loragraph.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './.build/*' -prune -exec rm -rf {} +
