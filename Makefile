# The verbs. CI runs `test`, `acceptance` and `lint`, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := build/peers
WORKER := build/worker
# Most of a test on a real broker is waiting, so two run at a time; JOBS=0 for one after the other.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test acceptance faults bench bench-scoring lint evaluation evaluation-tuned format docs sbom audit picture lock clean

help:            ## Show the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nextclick needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Use: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'Python cannot make an environment; on Debian: apt-get install python3-venv'; exit 1; }

$(VENV)/.demo: requirements/demo.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

# What `make bench` measures beside nextclick, and the profiler; in an environment of their own.
$(PEERS)/.installed: requirements/peers.lock | $(BIN)/python
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --require-hashes -r requirements/peers.lock
	@touch $@

# Prometheus and promtool for the tests of rules and dashboards: installed ones, or Debian's package unpacked
# beside everything else, which needs no root and starts no service. Where apt has no list of packages that can
# be used, one is fetched into build/ too.
PROMETHEUS := build/prometheus
APT_PLAIN := -o APT::Sandbox::User=root
APT_HERE := $(APT_PLAIN) -o Dir::State::Lists=$(CURDIR)/$(PROMETHEUS)/lists -o Dir::Cache=$(CURDIR)/$(PROMETHEUS)/cache
$(PROMETHEUS)/.unpacked:
	@mkdir -p $(PROMETHEUS)/lists/partial $(PROMETHEUS)/cache/archives/partial
	@{ command -v prometheus && command -v promtool; } >/dev/null || { cd $(PROMETHEUS) && { \
	  apt-get -qq $(APT_PLAIN) download prometheus || { apt-get -qq $(APT_HERE) update && apt-get -qq $(APT_HERE) download prometheus; }; } \
	  && dpkg -x prometheus_*.deb .; } || { \
	  echo "make test runs a real Prometheus: install prometheus and promtool, 2.42 or newer (on Debian: apt-get install prometheus); they were not found, and apt-get could not fetch them."; exit 1; }
	@rm -rf $(PROMETHEUS)/lists $(PROMETHEUS)/cache $(PROMETHEUS)/*.deb
	@touch $@

demo: $(VENV)/.demo      ## Stream real purchases through a broker and a worker, live in this terminal
	$(BIN)/nextclick demo $(ARGS)

test: $(VENV)/.dev $(PROMETHEUS)/.unpacked ## All tests that need nothing but this repository (a real Kafka included)
	@for tool in java mvn; do command -v $$tool >/dev/null || { \
	  echo "make test runs a real Apache Kafka: install Java 17 and Maven (on Debian: apt-get install openjdk-17-jre-headless maven); '$$tool' was not found."; exit 1; }; done
	$(PYTEST) --ignore=tests/acceptance $(ARGS)

acceptance: $(VENV)/.dev ## The tests on the real data sets in ../shared/data (or the folder NEXTCLICK_DATA names)
	$(PYTEST) tests/acceptance $(ARGS)

faults: $(VENV)/.dev     ## Every fault in its long form on a real Kafka: what it costs, and whether all is exact after it
	$(BIN)/python -m tests.faults $(ARGS)

lint: $(VENV)/.dev       ## Ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev $(PEERS)/.installed ## The stream on a local Kafka, beside plain Faust and Quix Streams; tables and build/bench.json
	$(BIN)/python -m tests.benchmarks.stream $(ARGS)

bench-scoring: $(VENV)/.dev ## The engine alone: latency, memory, learning, beside Serenade's figures and peers
	$(BIN)/python -m tests.benchmarks.scoring $(ARGS)

evaluation-tuned: $(VENV)/.dev ## What tuning on each data set's training data brings, into docs/evaluation.md (long)
	$(BIN)/python -m stream_app.tune.all_sets --data "$${NEXTCLICK_DATA:-../shared/data}" $(ARGS)

evaluation: $(VENV)/.dev ## Every method on every data set, into the tables of docs/evaluation.md (long)
	$(BIN)/python -m stream_app.evaluate.all_sets --data "$${NEXTCLICK_DATA:-../shared/data}" $(ARGS)

format: $(VENV)/.dev     ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What the image installs, in an environment of its own.
$(WORKER)/.installed: requirements/worker.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv --clear $(WORKER)
	$(WORKER)/bin/python -m pip install --quiet --require-hashes -r requirements/worker.lock
	@touch $@

sbom: $(VENV)/.dev $(WORKER)/.installed ## The bill of materials of what the image installs, with licences: build/sbom.cdx.json
	$(BIN)/cyclonedx-py environment $(WORKER)/bin/python --pyproject pyproject.toml --mc-type application --output-reproducible --output-file build/sbom.cdx.json

audit: $(VENV)/.dev      ## Known weaknesses of the locked libraries; fails where nothing can be learnt about one
	@for lock in worker demo; do \
	  $(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements/$$lock.lock || { \
	    echo "requirements/$$lock.lock has a weakness, or could not be audited in full: see above. What is not known is no pass."; exit 1; }; done

docs: $(VENV)/.dev       ## Write the tables of docs/ and the dashboards anew from the code
	$(BIN)/python -m stream_app.docs
	$(BIN)/python -m deploy.grafana

picture: $(VENV)/.dev $(PROMETHEUS)/.unpacked ## The dashboards' picture for the README, from a real run of some minutes
	$(BIN)/python -m tests.prometheus.picture $(ARGS)

lock: $(BIN)/python      ## Make the lock files anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in -o requirements/worker.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in --extra demo -o requirements/demo.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml requirements/build.in --extra demo --extra tune --extra plot --extra compare --group dev -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/peers.in -o requirements/peers.lock

clean:           ## Remove what the verbs made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
