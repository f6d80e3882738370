# make search    a first search, in a fresh virtual environment
# make test      the test suite, in the same environment
# make help      everything else

PYTHON      ?= python3
CONFIG      ?= examples/mnist_stm32l4r5zi.yaml
OUT         ?= runs/mnist
RESUME      ?=
JOBS        ?= 2
PYTEST_ARGS ?=

VENV := .venv
BIN  := $(VENV)/bin
CORE := $(VENV)/.installed
DEV  := $(VENV)/.installed-dev
# Everything that is installed, downloaded once: for the environment, where it is there, and for the journeys.
WHEELS := build/wheels
DOWNLOADED := $(WHEELS)/.downloaded
PACKAGE := build/package
export PIP_FIND_LINKS := $(PIP_FIND_LINKS) $(if $(wildcard $(DOWNLOADED)),$(abspath $(WHEELS)))

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help search report test journeys check format docs notebooks wheel download clean
.DEFAULT_GOAL := help
# An environment that could not be finished is made again.
.DELETE_ON_ERROR:

help:
	@echo "make search               search for MNIST classifiers that fit an STM32L4R5ZI, into $(OUT)"
	@echo "  CONFIG=my.yaml          another configuration"
	@echo "  OUT=runs/second         another folder for the results"
	@echo "  RESUME=1                go on with the run in OUT"
	@echo "make report               write the page of the run in OUT again"
	@echo "make test                 the test suite (PYTEST_ARGS='-k report', JOBS=4)"
	@echo "make journeys             journeys/*.sh with this version's wheel, each in an environment of its own"
	@echo "make check                ruff, ruff format, mypy --strict, import-linter"
	@echo "make format               let ruff format and fix what it can"
	@echo "make docs                 build the documentation into build/docs"
	@echo "make notebooks            run the notebooks of examples/ and store what they show"
	@echo "make wheel                build the wheel into dist/"
	@echo "make download             all packages into $(WHEELS), which the others then install from"
	@echo "make clean                remove the environment, caches and builds; runs/ stays"
	@echo "PYTHON=python3.12         the interpreter for $(VENV); 3.11 or newer"

search: $(CORE)
	@if [ -e "$(OUT)/config.yaml" ] && [ -z "$(RESUME)" ]; then \
	  echo "$(OUT) already holds a run. One of:" >&2; \
	  echo "  make search RESUME=1              go on with it" >&2; \
	  echo "  make search OUT=runs/another      search again into another folder" >&2; \
	  echo "  make report                       write its page, $(OUT)/report.html, again" >&2; \
	  exit 2; \
	fi
	$(BIN)/hannah-hw search "$(CONFIG)" --out "$(OUT)" $(if $(RESUME),--resume)

report: $(CORE)
	$(BIN)/hannah-hw report "$(OUT)"

test: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

journeys: $(DEV) $(DOWNLOADED)
	rm -rf $(PACKAGE)
	$(BIN)/python -m build --wheel --no-isolation --outdir $(PACKAGE) >/dev/null
	for journey in microcontroller profiling accelerator; do \
	  PYTHON="$(PYTHON)" JOURNEY_WHEELS=$(WHEELS) journeys/$$journey.sh $(PACKAGE)/*.whl || exit 1; \
	done

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/docs/index.html; for the search box: $(BIN)/python -m http.server -d build/docs"

notebooks: $(DEV)
	$(BIN)/python -m tests.notebook.stored

wheel: $(DEV)
	$(BIN)/python -m build --wheel --no-isolation

download: $(DOWNLOADED)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find hannah_hw tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "there is no $(PYTHON); give one with PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is `$(PYTHON) --version`; 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(DOWNLOADED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip download --quiet --constraint constraints.txt --dest $(WHEELS) ".[all]" --group dev
	@touch $@

$(CORE): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]"
	@touch $@

$(DEV): $(CORE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@
