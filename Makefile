# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE ?= 1
export RAY_raylet_start_wait_time_s ?= 120
export RAY_worker_register_timeout_seconds ?= 120

.PHONY: test lint clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -U pip
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[serve,train,demo,test]'
	touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## everything CI checks
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) var
