# Each target explains itself: `make help`. What you have set in the environment wins over what is set here.

SHELL := bash
STACK ?= dev
PROJECT ?= $(CURDIR)
UV_VERSION := 0.13.9
TOOLS := $(CURDIR)/.cache/uv
UV := $(TOOLS)/bin/uv

export PATH := $(TOOLS)/bin:$(PATH)
export PULUMI_BACKEND_URL ?= file://$(CURDIR)/.state?metadata=skip
ifndef PULUMI_CONFIG_PASSPHRASE_FILE
export PULUMI_CONFIG_PASSPHRASE ?= citus
endif
export PULUMI_SKIP_UPDATE_CHECK ?= true

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.locked: pyproject.toml uv.lock
	@test -x $(UV) && $(UV) --version | grep -qF '$(UV_VERSION)' || { \
	  echo 'installing uv $(UV_VERSION) into .cache/uv'; \
	  python3 -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'; }
	@$(UV) sync --frozen --compile-bytecode --quiet
	@touch $@

.PHONY: setup
setup: .venv/.locked ## virtual environment with locked dependencies; quick when there is nothing to do
	@mkdir -p .state

.PHONY: stack
stack: setup
	@command -v pulumi >/dev/null || { echo 'error: no pulumi on the PATH: install it (https://www.pulumi.com/docs/install)' >&2; exit 1; }
	@pulumi stack select --create $(STACK) >/dev/null

.PHONY: preview
preview: stack ## show what up would do
	@pulumi preview --stack $(STACK)

.PHONY: up
up: stack ## bring the cluster up, or to what is declared (STACK=dev)
	@pulumi up --yes --skip-preview --stack $(STACK)

.PHONY: refresh
refresh: stack ## compare the state with the live cluster
	@pulumi refresh --yes --skip-preview --stack $(STACK)

.PHONY: down
down: stack ## remove the cluster and all its data
	@pulumi destroy --yes --skip-preview --stack $(STACK)

# Of what Pulumi's file backend writes, a kill can leave only the attributes beside the state half-written: empty ones say
# nothing, and stand in the way of all that follows.
STATES = $(firstword $(subst ?, ,$(patsubst file://%,%,$(PULUMI_BACKEND_URL))))/.pulumi/stacks

.PHONY: recover
recover: setup ## after a run that was killed: free its lock, and forget what it had only begun
	@test ! -d '$(STATES)' || find '$(STATES)' -name '*.attrs' -size 0 -delete
	@cd '$(PROJECT)' && pulumi cancel --yes $(STACK)
	@cd '$(PROJECT)' && pulumi refresh --yes --skip-preview --clear-pending-creates --stack $(STACK)

.PHONY: psql
psql: stack ## connect to the coordinator
	@psql "$$(pulumi stack output dsn --show-secrets --stack $(STACK))"

.PHONY: format
format: setup ## rewrite the code in the house's format
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix --quiet .

.PHONY: check
check: setup ## format, lint, strict types and the fast tests; under a minute
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/pytest -q -n auto tests/unit

.PHONY: test
test: check ## everything, on whichever genuine parts this machine has; ends with which those were
	@.venv/bin/pytest tests

.PHONY: bench
bench: setup ## figures as ratios, side by side in one run; needs Docker and the image
	@.venv/bin/python -m benchmarks
