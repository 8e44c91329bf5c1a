# From a fresh clone with nothing but Python and make:
#   make demo   sets up .venv and predicts models that ship in the repository
#   make test   sets up .venv and runs linters, type checks, documents and tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ZOO := data/zoo

FUZZ_SECONDS ?= 600
FUZZ_COUNT ?= 20000

.PHONY: help demo test lint types docs unit fuzz sweep wheel clean

help:
	@echo 'make demo    predict models of $(ZOO) with a device pack that ships'
	@echo 'make test    lint, type checks, documents and tests'
	@echo 'make lint    ruff check, ruff format --check'
	@echo 'make docs    build the documents as a site, in site/; any warning fails'
	@echo 'make fuzz    fuzz the readers of models and packs, FUZZ_SECONDS=$(FUZZ_SECONDS) each (needs a wheel of atheris)'
	@echo 'make sweep   try FUZZ_COUNT=$(FUZZ_COUNT) mutated models, graphs, packs, measurements and imports each'
	@echo 'make wheel   build the wheel and the sdist into dist/'
	@echo 'make clean   remove $(VENV) and what was built'

demo: $(VENV)/.package
	$(BIN)/nnmeter devices
	$(BIN)/nnmeter predict $(ZOO)/resnet50-224.onnx
	$(BIN)/nnmeter predict $(ZOO)/mobilenet_v3_small-224.onnx $(ZOO)/efficientnet_b0-224.onnx \
	    $(ZOO)/swin_tiny_patch4_window7_224-224.onnx $(ZOO)/bert-mini.onnx

test: lint types docs unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

# Inputs that were found worth keeping stay in benchmarks/fuzz/.corpus; see docs/security.md.
fuzz: $(VENV)/.fuzz
	$(BIN)/python benchmarks/fuzz/fuzz_run.py --seconds $(FUZZ_SECONDS)

# The same inputs in every run; the first number is that of the first input.
sweep: $(VENV)/.dev
	for kind in models graphs packs measurements imports; do \
	    $(BIN)/python benchmarks/fuzz/fuzz_sweep.py $$kind --count $(FUZZ_COUNT) || exit 1; done

wheel: $(VENV)/.dev
	$(BIN)/python -m build --no-isolation

# A stamp is newer than pyproject.toml when what that asks for is installed.
$(VENV)/.package: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.package $@

$(VENV)/.fuzz: pyproject.toml $(VENV)/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

clean:
	rm -rf $(VENV) dist build site
