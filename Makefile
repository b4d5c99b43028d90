PYTHON ?= python3
# Another interpreter has an environment of its own.
VENV ?= .venv$(patsubst %,-%,$(filter-out python3 python,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
MINUTES ?= 10
WORKERS ?= 3
PYTEST = $(BIN)/python -m pytest --durations 25
ROBOT = $(addprefix test/,ground host robot policy control bags data tasks testing)
TIMING = $(shell grep -rl --include='test_*.py' 'mark\.timing' test)
LEROBOT := .venv-lerobot
LEROBOT_PYTHON ?= python3.12
NEEDS := constraints.txt setup.py .ci/pins.py
# Test modules are compiled once, not by each worker and each pass, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo soak test test-robot test-lerobot train pins clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/.demo-ready  ## Set up, then run student and teacher beside a simulated robot over ROS 2
	$(BIN)/vdd demo

soak: $(VENV)/.demo-ready  ## Set up, then run the demo for MINUTES (10) and check memory, records and deadlines
	$(BIN)/vdd soak --minutes $(MINUTES)

test: $(VENV)/.test-ready  ## Set up, then run all tests, ruff and mypy: WORKERS (3) at a time, then the timing tests alone
	$(PYTEST) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not timing"
	$(PYTEST) -m timing $(TIMING)

test-robot: $(VENV)/.robot-ready  ## Set up without torch, then run the tests of what a robot imports, without ROS and timing tests
	$(PYTEST) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not timing and not ros" $(ROBOT)

test-lerobot: $(VENV)/.test-ready $(LEROBOT)/.ready  ## Set up LeRobot with LEROBOT_PYTHON (python3.12; some GB), then test data sets against it
	VDD_LEROBOT_PYTHON=$(CURDIR)/$(LEROBOT)/bin/python $(PYTEST) test/data/test_with_lerobot.py

train: $(VENV)/.train-ready  ## Set up for training too

pins:  ## Update constraints.txt: keep its versions, add new dependencies of setup.py, and hashes
	$(BIN)/python .ci/pins.py update

clean:  ## Remove the virtual environment, build products, and results of demo and soak
	rm -rf .venv .venv-* $(VENV) build install log dist demo_out soak_out *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp for each set of extras: nothing is installed again until the needs change.
$(VENV)/.demo-ready: EXTRAS := ros,sim
$(VENV)/.train-ready: EXTRAS := ros,sim,train
$(VENV)/.test-ready: EXTRAS := ros,sim,train,dev
$(VENV)/.robot-ready: EXTRAS := ros,sim,dev
$(VENV)/.%-ready: $(NEEDS) | $(BIN)/python
	$(BIN)/python .ci/pins.py install $(EXTRAS)
	touch $@

$(LEROBOT)/.ready:
	$(LEROBOT_PYTHON) -m venv $(LEROBOT)
	$(LEROBOT)/bin/python -m pip install 'lerobot[dataset]==0.6.1'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
