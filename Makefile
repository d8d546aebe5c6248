# Two commands to begin with: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE ?= 1
export RAY_raylet_start_wait_time_s ?= 120
export RAY_worker_register_timeout_seconds ?= 120

LAYOUT ?= deployments/local.yaml

.PHONY: conformance demo bench-demo retrain clean-demo test lint serve bench-serving bench-quality bench-interest bench-search stop clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -U pip
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[serve,train,demo,test]'
	touch $@

demo: | $(VENV)/ready var/encoder  ## the whole loop on the demo's data; leaves every endpoint up at 127.0.0.1:8000
	$(BIN)/python -m tuning.demo

bench-demo: | $(VENV)/ready var/encoder  ## the same on all households: the run that claims refer to
	$(BIN)/python -m tuning.demo --full

retrain: | $(VENV)/ready  ## a simulated day through the endpoints, then the next bundle from the live log
	$(BIN)/python -m tuning.retrain

clean-demo:  ## forget what the demo made, so that it begins anew
	rm -rf var/demo

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## everything CI checks
	$(BIN)/python -m pytest

var/encoder: | $(VENV)/ready
	$(BIN)/python -c "from pathlib import Path; from raysys.text.export import export_encoder; export_encoder(None, Path('$@'))"

var/world/bundle: tuning/world.py $(wildcard raysys/*.py raysys/interest/*.py) | $(VENV)/ready var/encoder
	rm -rf $@
	$(BIN)/python -m tuning.world $@ --encoder var/encoder

serve: var/world/bundle  ## every endpoint at 127.0.0.1:8000; LAYOUT=deployments/surfaces.yaml runs four applications
	@! curl -s -o /dev/null http://127.0.0.1:8000/ || { echo "port 8000 is taken; make stop first"; exit 1; }
	@set -a; . deployments/serve.env; set +a; \
	echo $$$$ > var/serve.pid; exec $(BIN)/serve run $(LAYOUT)

bench-quality: | $(VENV)/ready var/encoder  ## the interest model beside every baseline, full data
	$(BIN)/python -m benchmarks.demo_quality

var/peers/ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv var/peers/venv
	var/peers/venv/bin/pip install -q -r benchmarks/peers/requirements.txt
	touch $@

conformance: var/conformance/ready | var/encoder  ## clients and an engine of others for the tests, in an environment of their own

var/conformance/ready: tests/deployments/dialects/requirements.txt
	$(PYTHON) -m venv var/conformance/venv
	var/conformance/venv/bin/pip install -q -r $<
	touch $@

bench-interest: | $(VENV)/ready var/peers/ready  ## raysys and its peers on the same splits; ARGS="--sets beauty --seeds 0"
	$(BIN)/python -m benchmarks.interest $(ARGS)

bench-search: | $(VENV)/ready var/encoder  ## search relevance on judgements and on clicks; embeds the titles once
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.encoders
	$(BIN)/python -m benchmarks.clicks

bench-serving: | $(VENV)/ready var/encoder  ## what a request costs, through HAProxy, uvicorn and in process
	$(BIN)/python -m benchmarks.serving

stop:  ## ends what `make serve` started here, and nothing else
	@test -f var/serve.pid || { echo "nothing to stop: make serve has not run here"; exit 1; }
	@pid=$$(cat var/serve.pid); rm var/serve.pid; \
	if grep -qa "deployments/" /proc/$$pid/cmdline 2>/dev/null; then kill -TERM $$pid; \
	else echo "process $$pid is not ours any more; nothing stopped"; fi

clean:
	rm -rf $(VENV) var
