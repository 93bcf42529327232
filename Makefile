# Every target sets up what it needs by itself, in var/, and is quick the second time.
# Needs only Python 3.11, 3.12 or 3.13 and make. Settings: PYTHON=python3.12 VENV=var/venv312 JOBS=4 PROFILE=insurance

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test sweep fault bench up down lint format docs lock clean

VENV ?= var/venv
CLUSTER ?= var/venv-cluster
PROFILE ?= insurance
SEED ?= 1
SIZES ?= 10000,100000
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
# Each worker starts its own servers: more than four cost more than they save.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

# Some images switch Python's compiled files off: every process would then compile its thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

READY := $(VENV)/.ready
RUN := $(VENV)/bin/python
# A cache of our own: nothing is written outside the checkout. The system's certificates: as pip does.
UV := UV_CACHE_DIR=$(CURDIR)/var/cache/uv UV_SYSTEM_CERTS=1 UV_LINK_MODE=hardlink $(RUN) -m uv

help:  ## Show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## One business day on real Airflow against a DOKU simulator; prints the books (about 3 minutes)
	@$(RUN) -m tests.stack demo --profile $(PROFILE)

test: $(READY)  ## The whole test suite (ARGS="-k envelope" for a part of it)
	$(RUN) -m pytest -n $(JOBS) $(ARGS)

sweep: $(READY)  ## All kills, races, faults, mixes, mutated inputs and the whole history, of which `make test` runs a sample
	SWEEP=all $(RUN) -m pytest -n $(JOBS) tests/sweeps tests/airflow/safety tests/history tests/history_recurring \
		tests/unit/flows/recurring/test_any_order.py $(ARGS)
	@$(RUN) -m tests.sweeps.matrix

fault: $(READY)  ## Play one random mix of faults again: make fault SEED=7
	@$(RUN) -m tests.sweeps.mixes --seed $(SEED)

bench: $(READY)  ## How fast it is beside the hardware's limits: make bench SIZES=10000,100000 (ARGS=--profile)
	@$(RUN) -m tests.bench --sizes $(SIZES) $(ARGS)

cluster: $(CLUSTER)/.ready  ## A day of 200,000 charges on two Celery workers, with kills (about 10 minutes; needs redis-server)
	@$(CLUSTER)/bin/python -m tests.stack cluster $(ARGS)

up: $(READY)  ## Start Airflow and the simulator and leave them running; prints where and the login
	@$(RUN) -m tests.stack up --profile $(PROFILE)

down: $(READY)  ## Stop exactly what `make up` started
	@$(RUN) -m tests.stack down

lint: $(READY)  ## Style (ruff) and types (mypy)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(READY)  ## Rewrite the source in the project's style
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: $(READY)  ## Write the generated pages of docs/ anew (a test fails while they differ from the code)
	@$(RUN) -m tests.tools.docs

lock: $(READY)  ## Resolve the dependencies of pyproject.toml anew into requirements*.txt
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes --upgrade pyproject.toml -o requirements.txt
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes -c requirements.txt --group dev pyproject.toml \
		-o requirements-dev.txt
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes -c requirements-dev.txt --group cluster pyproject.toml \
		-o requirements-cluster.txt
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes -c requirements-dev.txt -c requirements-cluster.txt \
		--group drill pyproject.toml -o requirements-cluster-dev.txt

clean:  ## Remove everything that was generated, the virtual environment included
	@[ ! -x $(RUN) ] || $(RUN) -m tests.stack down
	rm -rf var

$(READY): requirements-dev.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11, 3.12 or 3.13 is needed; say which with PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (about a minute, once)"
	@$(RUN) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) \
		|| { echo "Python's venv module is not complete (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(RUN) -m uv --version >/dev/null 2>&1 \
		|| $(RUN) -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements-dev.txt)"
	@$(UV) pip sync --quiet --python $(RUN) --require-hashes requirements-dev.txt \
		|| { echo "uv could not install (a proxy or an index that only pip knows?); trying pip" >&2; \
		     $(RUN) -m ensurepip >/dev/null 2>&1; \
		     $(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt; }
	@touch $@

$(CLUSTER)/.ready: requirements-cluster-dev.txt $(READY)
	@echo "Setting up $(CLUSTER) (once)"
	@$(CLUSTER)/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(CLUSTER)
	@$(UV) pip sync --quiet --python $(CLUSTER)/bin/python --require-hashes requirements-cluster-dev.txt
	@touch $@
