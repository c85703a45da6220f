# make help    these lines
# make install the environment in .venv, or brings it up to date with requirements.lock
# make demo    the whole pipeline on drawn slides: runs/demo/report.html, runs/demo/metrics.json
# make test    the whole test suite
# make fuzz    20 times as many damaged files and strange values as the test suite has: make fuzz TIMES=100
# make lint    ruff, mypy, and the order of imports between packages
# make compile writes components/*/component.yaml, their READMEs, and pipelines/*.yaml
# make bench   every benchmark, at its full size
# make lock    resolves the packages anew: requirements.lock and the locks of the images
# make images  builds the images cuda and slim: make images REGISTRY=registry.example/team BASE=… RUNTIMES="cuda slim cpu"
# make push    pushes them to REGISTRY, and keeps their digests in DIGESTS
# make release pushes the images, and compiles everything below dist/release with the images pinned by digest
# make e2e     runs every pipeline on the real images, in containers without a network
# make lock-cpu TORCH_INDEX=…  locks torch of the image cpu with the hashes of that index
# make cluster-check  tries out the cluster at KF_PIPELINES_ENDPOINT: STORE=s3://bucket/prefix IMAGE=… NAMESPACE=…
# make kind    a cluster in containers of this machine, with Kubeflow Pipelines and IMAGE, for make cluster-check; needs kind
# make kind-down  takes that cluster away again
#
# BIN=/path/to/bin takes another environment, in which nothing is ever installed: make lint BIN=~/envs/forge/bin

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OTHER := $(filter-out $(VENV)/bin,$(BIN))
PACKAGES = $(shell grep -c '==' requirements.lock)
DEMO := runs/demo
SLIDES := runs/demo-slides

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)
CREATED = $(or $(shell git log -1 --format=%cI 2>/dev/null),1970-01-01T00:00:00Z)
REGISTRY ?= $(or $(HISTOFORGE_REGISTRY),ghcr.io/histoforge)
RUNTIMES ?= cuda slim
BASE ?= docker.io/library/python:3.11.14-slim-bookworm
TORCH_INDEX ?=
CONTAINER ?= $(shell command -v podman || command -v docker)
DIGESTS ?= dist/image-digests.json
PUSH_FLAGS ?=
RELEASE ?= dist/release

.DEFAULT_GOAL := help
.PHONY: help install environment demo test fuzz lint compile bench lock lock-cpu images push release e2e cluster-check kind kind-down clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# The environment: the locked packages, then the project itself, installed in place.
$(INSTALLED): requirements.lock pyproject.toml setup.py
	@echo "Installing $(PACKAGES) packages of requirements.lock into $(VENV): about 6.6 GB on the disk, most of it torch's CUDA build"
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "histoforge needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv $(VENV)
ifneq ($(UV),)
	"$(UV)" pip install --python $(VENV)/bin/python --require-hashes --compile-bytecode --requirement requirements.lock
	"$(UV)" pip install --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
else
	$(VENV)/bin/python -m pip install --require-hashes --requirement requirements.lock
	$(VENV)/bin/python -m pip install --no-deps --no-build-isolation --editable .
endif
	touch $@

install: $(INSTALLED)

# Prerequisite of targets that only use an environment: it creates one if there is none, and keeps an existing one as is.
ifneq ($(OTHER),)
environment:
	@test -x "$(BIN)/python" || { echo "There is no environment at $(BIN): name the bin folder of one, or leave BIN out" >&2; exit 2; }
READY := environment
else
environment: $(if $(wildcard $(VENV)/bin/python),,$(INSTALLED))
	@if [ -e $(INSTALLED) ] && [ requirements.lock -nt $(INSTALLED) ]; then \
	    echo "requirements.lock is newer than $(VENV): 'make install' brings it up to date" >&2; fi
READY := $(INSTALLED)
endif

$(SLIDES)/.drawn: | $(READY)
	$(BIN)/histoforge phantom --out $(SLIDES) --patients 30 --size-px 1536
	touch $@

demo: $(READY) $(SLIDES)/.drawn
	$(BIN)/histoforge run selective-augmentation --source $(SLIDES) --out $(DEMO) --preset demo

# One thread per process: threads of two processes that wait for each other on the same cores take ten times as long.
test: environment
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -ra --durations=15 -n 2 --dist loadfile --no-loadscope-reorder

fuzz: environment
	HISTOFORGE_FUZZ=$(or $(TIMES),20) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --capture=sys -p no:xdist tests/fuzz/fuzz_cases.py

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

compile: environment
	$(BIN)/python -m histoforge_pipelines.compile

bench: environment
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

LOCK_ARGUMENTS = --universal --python-version 3.11 --generate-hashes --no-header --quiet
LOCK = $(BIN)/uv pip compile $(LOCK_ARGUMENTS) pyproject.toml

lock: environment
	$(LOCK) --all-extras --output-file requirements.lock
	$(LOCK) --extra build --constraint requirements.lock --output-file images/cuda/requirements.lock
	$(BIN)/uv pip compile $(LOCK_ARGUMENTS) --constraint requirements.lock images/slim/requirements.in \
	    --output-file images/slim/requirements.lock
	grep -E '^(torch|torchvision)==' images/cuda/requirements.lock | sed 's/ .*//' >images/cpu/torch.in
	$(LOCK) --extra build --constraint requirements.lock $$(sed -n 's/^\(torch\|torchvision\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)==.*/--no-emit-package \1/p' \
	    images/cuda/requirements.lock) --output-file images/cpu/requirements.lock

lock-cpu: environment
	@test -n "$(TORCH_INDEX)" || { echo "lock-cpu: give the index of torch's builds for the processor: make lock-cpu TORCH_INDEX=https://download.pytorch.org/whl/cpu" >&2; exit 2; }
	sh images/lock-torch.sh $(BIN)/uv $(TORCH_INDEX) images/cpu/torch.lock

images/cpu/torch.lock:
	@echo "$@ is missing: 'make lock-cpu TORCH_INDEX=https://download.pytorch.org/whl/cpu' writes it, with the hashes of that index." >&2; exit 2

images: $(RUNTIMES:%=image-%)

image-cpu: images/cpu/torch.lock

image-%:
	$(CONTAINER) image inspect $(BASE) >/dev/null 2>&1 || $(CONTAINER) pull $(BASE)
	$(CONTAINER) build --file images/Dockerfile --build-arg RUNTIME=$* --build-arg BASE=$(BASE) \
	    --build-arg BASE_DIGEST=$$($(CONTAINER) image inspect --format '{{join .RepoDigests "\n"}}' $(BASE) | sed -n '1s/.*@//p') \
	    --build-arg LOCK_DIGEST=sha256:$$(cat images/$*/*.lock | sha256sum | cut -d ' ' -f 1) \
	    --build-arg TORCH_INDEX=$(TORCH_INDEX) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	    --build-arg CREATED=$(CREATED) --tag $(REGISTRY)/histoforge-$*:$(VERSION) .
	mkdir -p dist
	$(CONTAINER) run --rm $(REGISTRY)/histoforge-$*:$(VERSION) cat /usr/share/histoforge/sbom.spdx.json >dist/sbom-$*.spdx.json

push:
	"$(PYTHON)" images/push.py --container "$(CONTAINER)" --digests $(DIGESTS) $(PUSH_FLAGS:%=--flag=%) \
	    $(RUNTIMES:%=$(REGISTRY)/histoforge-%:$(VERSION))

release: environment
	$(MAKE) images
	$(MAKE) push
	HISTOFORGE_REGISTRY=$(REGISTRY) HISTOFORGE_IMAGE_DIGESTS=$(DIGESTS) $(BIN)/python -m histoforge_pipelines.compile --out $(RELEASE)

e2e: environment
	HISTOFORGE_E2E_IMAGE=$(REGISTRY)/histoforge-cuda:$(VERSION) HISTOFORGE_E2E_SLIM_IMAGE=$(REGISTRY)/histoforge-slim:$(VERSION) \
	    $(BIN)/python -m pytest -q -ra tests/e2e

kind:
	CONTAINER="$(CONTAINER)" IMAGE="$(or $(IMAGE),$(REGISTRY)/histoforge-cuda:$(VERSION))" manifests/kind/up.sh

kind-down:
	CONTAINER="$(CONTAINER)" manifests/kind/down.sh

cluster-check: environment
	$(if $(STORE),,$(error Name a store that the cluster and this machine reach: make cluster-check STORE=s3://bucket/prefix))
	$(if $(NAMESPACE),KFP_NAMESPACE="$(NAMESPACE)") $(BIN)/histoforge cluster-check --store "$(STORE)" $(if $(IMAGE),--image "$(IMAGE)") $(CHECK)

clean:
	rm -rf $(DEMO) $(SLIDES) build dist
