PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-modes clean

demo: $(VENV)/.experiments
	$(BIN)/python -m experiments.train_iwae

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# The same tests in double precision, and with every implicit promotion of dtypes an error.
test-modes: $(VENV)/.dev
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -q
	JAX_NUMPY_DTYPE_PROMOTION=strict $(BIN)/python -m pytest -q

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.experiments: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[experiments]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.experiments

clean:
	rm -rf $(VENV)
