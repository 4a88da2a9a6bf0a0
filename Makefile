# make demo   train a dense and a 90 % sparse model and compare them
# make test   run the test suite        (ARGS="-k store" for a part)
# make lint   run ruff, its format check and mypy
# make test-without-sparse   remove torch-sparse, then run the tests of layers, models and training
# make setup  only set up the environment
# make clean  remove the environment and everything built
#
# All but `clean` set up the environment first. `make test` and `make setup` compile
# torch-sparse if there is no prebuilt wheel for this torch; `make demo` continues without it.
#
# PYTHON=python3.12        the Python that the environment is made with
# TORCH=2.13.0+cu130 TORCH_INDEX=https://download.pytorch.org/whl/cu130     another torch
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Not `python -m pytest`: that puts this folder on the path, where `datasets` and `cli` would
# be found under names that belong to others.
PYTEST := $(BIN)/pytest -n 2 --dist loadscope

# Set up the environment, with torch-sparse or without: tools/setup_env.py explains its --sparse.
# Not a prerequisite: `make lint test` needs two of them.
define set_up
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
  echo "[setup] error: '$(PYTHON)' is not Python 3.10 or newer; try make PYTHON=python3.12" >&2; \
  exit 1; }
@$(PYTHON) tools/setup_env.py $(if $(TORCH),--torch '$(TORCH)') \
  $(if $(TORCH_INDEX),--torch-index '$(TORCH_INDEX)') --sparse $(1)
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-without-sparse lint format clean

help:
	@sed -n '/^PYTHON/q; s/^# \{0,1\}//p' Makefile

setup:
	$(call set_up,build)

demo:
	$(call set_up,prebuilt)
	$(BIN)/pyg-stgcn demo $(ARGS)

test:
	$(call set_up,build)
	$(PYTEST) $(ARGS)

test-without-sparse:
	$(call set_up,none)
	$(PYTEST) $(wildcard $(addprefix tests/,nn models training/test_train.py)) $(ARGS)

# mypy does not follow setuptools' package-dir: show it the package as it is installed.
lint:
	$(call set_up,prebuilt)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/typecheck && mkdir -p build/typecheck/pyg_stgcn
	@ln -s $(CURDIR)/pyg_stgcn/* $(CURDIR)/datasets $(CURDIR)/cli build/typecheck/pyg_stgcn/
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p pyg_stgcn
	$(BIN)/mypy tools

format:
	$(call set_up,prebuilt)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find pyg_stgcn datasets cli tests tools -name __pycache__ -prune -exec rm -rf {} +
