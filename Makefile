# Two commands on a fresh machine: `make repro` and `make test`. Both use .venv in this folder.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help repro test slow gpu processors lint docs paper
.DEFAULT_GOAL := help

help:                     ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

repro: .venv/ready        ## the main job on the embedded demo: train, predict, score, aggregate, register
	zsad repro

test: .venv/ready         ## unit, parity and functional tests
	pytest -n auto

slow: .venv/ready         ## every learner once at ViT-L/14, 518 px, random weights: 11 minutes on two cores, some GB of memory and disk
	pytest tests/slow/vit_l.py

gpu: .venv/ready          ## every learner on a CUDA GPU against the CPU, on the embedded CLIP
	pytest tests/gpu/cuda.py

processors: .venv/ready  ## the same bits under two emulated processors; wants Debian's qemu-user, and an hour
	pytest tests/emulated/processors.py

lint: .venv/ready         ## style, types and the layers of imports
	ruff check
	ruff format --check
	mypy
	lint-imports

docs: .venv/ready         ## tables of settings in docs/methods, from the code; pictures of README and report, from the demo
	python -m tests.helpers.method_pages
	python -m tests.helpers.readme_picture
	python -m tests.helpers.report_picture

paper: .venv/ready        ## the papers' settings on the real datasets: wants a GPU and downloads
	zsad profile apply profiles/paper.yaml
	zsad repro

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "zsad needs Python 3.11 or newer; make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
