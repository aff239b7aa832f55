PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Most of the time goes into compilation, which two processes do twice as fast.
PYTEST := $(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal

.PHONY: demo test test-modes same-python clean

# An environment that is there already would hide the Python that was asked for.
ifneq ($(origin PYTHON),file)
demo test test-modes: same-python
endif
same-python: | $(BIN)/python
	@test "$$($(PYTHON) --version)" = "$$($(BIN)/python --version)" || \
	  { echo "$(VENV) has $$($(BIN)/python --version): run make clean, or choose another VENV."; exit 2; }

demo: $(VENV)/.experiments
	$(BIN)/python -m experiments.train_iwae

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

NO_ARITHMETIC := $(foreach name,house kill data data_errors,--ignore tests/test_$(name).py)
# Whole studies, which take minutes and set the precision that they need themselves.
STUDIES := $(foreach name,gradient_snr bound_tightness prior_experiments flow_experiments minimax_experiments,\
  --ignore tests/test_$(name).py)

# The same tests in double precision, and with every implicit promotion of dtypes an error.
test-modes: $(VENV)/.dev
	JAX_ENABLE_X64=1 $(PYTEST) $(NO_ARITHMETIC) $(STUDIES)
	JAX_NUMPY_DTYPE_PROMOTION=strict $(PYTEST) $(NO_ARITHMETIC) $(STUDIES)

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
