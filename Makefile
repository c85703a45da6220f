# make demo    the whole pipeline on drawn slides: runs/demo/report.html, runs/demo/metrics.json
# make test    the whole test suite
# make lint    ruff and mypy
# make compile writes components/*/component.yaml, their READMEs, and pipelines/*.yaml
# make bench   every benchmark, at its full size

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := runs/demo

.PHONY: demo test lint compile bench clean
.DELETE_ON_ERROR:

# The environment: the locked packages, then the project itself, from where it lies.
$(INSTALLED): requirements.lock pyproject.toml setup.py
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "histoforge needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv $(VENV)
ifneq ($(UV),)
	"$(UV)" pip install --python $(BIN)/python --quiet --require-hashes --compile-bytecode --requirement requirements.lock
	"$(UV)" pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
endif
	touch $@

$(DEMO)/.drawn: | $(INSTALLED)
	$(BIN)/histoforge phantom --out $(DEMO)/slides --patients 30 --size-px 1536
	touch $@

demo: $(INSTALLED) $(DEMO)/.drawn
	$(BIN)/histoforge run selective-augmentation --source $(DEMO)/slides --out $(DEMO) --preset demo

# One thread a process: threads of two processes that wait for each other on the same cores take ten times as long.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -ra --durations=15 -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

compile: $(INSTALLED)
	$(BIN)/python -m histoforge_pipelines.compile

bench: $(INSTALLED)
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(DEMO) build dist
