# `make demo` and `make test` make their own environment in .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint compile bench clean

help:
	@echo "make demo     draw phantom slides, run the whole pipeline on them, print where the report is"
	@echo "make test     run the whole test suite"
	@echo "make lint     ruff and mypy"
	@echo "make compile  compile every component and pipeline, and write the components' READMEs"
	@echo "make bench    run every benchmark (minutes; wants a quiet machine)"
	@echo "make clean    delete the environment and the demo's output"

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "histoforge needs Python 3.11 or later: make PYTHON=python3.11 …" >&2; exit 2; }
	@echo "making the environment in $(VENV) (about 6 GB, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	@$(BIN)/histoforge phantom --out runs/demo/slides --preset demo
	@$(BIN)/histoforge run selective-augmentation --source runs/demo/slides --out runs/demo --preset demo

test: $(READY)
	@$(BIN)/python -m pytest -q

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

compile: $(READY)
	@$(BIN)/python -m histoforge_pipelines.compile

bench: $(READY)
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) runs/demo
