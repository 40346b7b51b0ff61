# Each target explains itself: `make help`. What you have set in the environment wins over what is set here.

SHELL := bash
STACK ?=
PYTHON ?= python3

export PATH := $(CURDIR)/.cache/bin:$(CURDIR)/.cache/uv/bin:$(PATH)
export PULUMI_BACKEND_URL ?= file://$(CURDIR)/.state?metadata=skip
ifndef PULUMI_CONFIG_PASSPHRASE_FILE
export PULUMI_CONFIG_PASSPHRASE ?= citus
endif
export PULUMI_SKIP_UPDATE_CHECK ?= true

# Each run is several processes of Python: without this, each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.locked: pyproject.toml uv.lock bootstrap.py
	@$(PYTHON) bootstrap.py
	@touch $@

.PHONY: setup
setup: .venv/.locked ## all that a fresh clone needs, from package registries; quick when there is nothing to do
	@test -x .venv/bin/python -a -x .cache/bin/pulumi || $(PYTHON) bootstrap.py
	@mkdir -p .state

# The program runs by Pulumi's Automation API, on the same stacks and state as `pulumi` in this folder. Without STACK=…, that is
# the stack dev where Docker can run it, else local.
RUN = .venv/bin/python -m cli

.PHONY: preview
preview: setup ## show what up would do
	@$(RUN) preview --stack '$(STACK)'

FORMAT ?= text
MEND ?=

QUERIES ?=
export QUERIES

.PHONY: plan
plan: setup ## show what the plan finds and does, without a database (FORMAT=text, json, github); MEND=… writes what mends it; QUERIES=… judges an application's statements
	@$(RUN) plan --stack '$(STACK)' --format '$(FORMAT)' --mend '$(MEND)'

FROM ?=
OUT ?=
BY ?=
export FROM

.PHONY: propose
propose: setup ## propose how a database is sharded, as settings to edit (FROM=postgresql://… or a folder, OUT=<file>, BY=<column>)
	@$(RUN) propose $(if $(OUT),--output '$(OUT)') --by '$(BY)'

BASE ?=
REPORT ?= .state/review.md

.PHONY: review
review: setup ## what up would do to the data, and what it costs; BASE=… rehearses it against that commit, on this machine
	@$(RUN) review --stack '$(STACK)' --base '$(BASE)' --output '$(REPORT)'

NAME ?=
LIKE ?=

.PHONY: stack
stack: setup ## make a stack of your own, with names, ports and a password that no other has (NAME=…, LIKE=dev or local)
	@$(RUN) new '$(NAME)' --like '$(LIKE)'

.PHONY: drift
drift: setup ## say what differs from the live cluster; fail where something does
	@$(RUN) drift --stack '$(STACK)' --output '$(REPORT)'

.PHONY: up
up: setup ## bring the cluster up, or to what is declared, and show it (STACK=dev, STACK=local)
	@$(RUN) up --stack '$(STACK)'

.PHONY: refresh
refresh: setup ## compare the state with the live cluster
	@$(RUN) refresh --stack '$(STACK)'

.PHONY: down
down: setup ## remove the cluster and all its data
	@$(RUN) down --stack '$(STACK)'

.PHONY: show
show: setup ## show nodes, tables and shards of the running cluster
	@$(RUN) show --stack '$(STACK)'

.PHONY: residency
residency: setup ## prove, row by row, that tenants are on their workers
	@$(RUN) residency --stack '$(STACK)'

SCALE ?= 100000

.PHONY: analysis
analysis: setup ## ask one question in several ways of a cluster that is up, and write a report (SCALE=sales, SEED, STREAMS, RUNS, RELOAD=1); WHOLE=1 measures all
	@.venv/bin/python -m analysis --stack '$(STACK)' --scale '$(SCALE)' $(if $(SEED),--seed '$(SEED)') \
	  $(if $(STREAMS),--streams '$(STREAMS)') $(if $(RUNS),--runs '$(RUNS)') $(if $(RELOAD),--reload) $(if $(WHOLE),--whole)

KIND ?= incremental

.PHONY: backup
backup: setup ## back all nodes up, and make a point to which all can be restored (KIND=full, differential, incremental, restore-point)
	@$(RUN) backup --stack '$(STACK)' --kind '$(KIND)'

.PHONY: backups
backups: setup ## show the backups, and the points to go back to (JSON=1 for programs)
	@$(RUN) backups --stack '$(STACK)' $(if $(JSON),--json)

TO ?= latest

.PHONY: restore
restore: setup ## make a new stack of a backup of STACK, and bring it up (TO=…, NAME=…); put a stack back: IN_PLACE=… CONFIRM=…; bring lost workers back: WORKERS=…
	@$(RUN) restore --stack '$(STACK)' --to '$(TO)' --name '$(NAME)' --in-place '$(IN_PLACE)' --confirm '$(CONFIRM)' --workers '$(WORKERS)'

HOST ?=

.PHONY: forget
forget: setup ## take what was on a host that is gone for good out of the state (HOST=…): nobody can remove it there
	@$(RUN) forget --stack '$(STACK)' --host '$(HOST)'

.PHONY: psql
psql: setup ## connect to the coordinator
	@$(RUN) psql --stack '$(STACK)'

ROLE ?=
export ROLE

.PHONY: role
role: setup ## let the nodes know the password of a role that was made by hand (ROLE=…; asks for it, or takes ROLE_PASSWORD)
	@$(RUN) role --stack '$(STACK)'

.PHONY: recover
recover: setup ## after a run that was killed: free its lock, and forget what it had only begun
	@$(RUN) recover --stack '$(STACK)'

.PHONY: rules
rules: setup ## write the plan's rules into docs/plan.md, after one was changed
	@.venv/bin/python -m components.plan.page

.PHONY: format
format: setup ## rewrite the code in the house's format
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix --quiet .

.PHONY: check
check: setup ## format, lint, strict types, what may import what, and the fast tests; under a minute
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache --no-logo
	@$(MAKE) --no-print-directory workflows
	@.venv/bin/pytest -q -n auto tests/unit

ACTIONLINT = .cache/actionlint/1.7.12/actionlint

$(ACTIONLINT):
	@GOBIN='$(CURDIR)/$(@D)' go install github.com/rhysd/actionlint/cmd/actionlint@v$(notdir $(@D)) || \
	  { echo 'SKIPPED: no actionlint, for Go is missing or cannot reach its module; the workflows are checked by zizmor alone' >&2; }

.PHONY: workflows
workflows: setup $(ACTIONLINT) ## lint the workflows
	@.venv/bin/zizmor --offline --quiet --no-progress .github
	@! test -x $(ACTIONLINT) || $(ACTIONLINT) .github/workflows/*.yml

.PHONY: test
test: check ## everything, on whichever genuine parts this machine has; ends with which those were
	@.venv/bin/pytest -n auto --dist loadscope tests/provider tests/e2e

.PHONY: everything
everything: setup ## whole stacks on every runtime, of which `make test` takes the first that this machine has, and the pages of the documentation; over an hour
	@CITUS_PULUMI_EVERYTHING=1 .venv/bin/pytest -n auto --dist loadscope tests/e2e

.PHONY: hosts
hosts: setup ## the tests of whole stacks on Docker once more, with the nodes on three engines in network namespaces; as root
	@CITUS_PULUMI_HOSTS=1 .venv/bin/pytest tests/e2e

.PHONY: corpus
corpus: setup ## all of the corpus against each release of Citus that this machine has, or CITUS_PULUMI_PG_BIN=<folder>:<folder>; some minutes
	@set -e; for bin in $$(.venv/bin/python -m tests.servers); do CITUS_PULUMI_PG_BIN="$$bin" CITUS_PULUMI_STRIDE=1 .venv/bin/pytest \
	  $(addprefix tests/provider/test_,corpus.py later_corpus.py mend.py queries.py without_transaction.py); done

.PHONY: bench
bench: setup ## figures as ratios, side by side in one run; needs Docker and the image
	@.venv/bin/python -m benchmarks.speed
	@.venv/bin/python -m benchmarks.placement
	@.venv/bin/python -m benchmarks.plans
	@.venv/bin/python -m benchmarks.rebalance

# --- for workflows -----------------------------------------------------------------------------------------------------

.PHONY: path
path: setup ## let the later steps of a workflow find what setup installed
	@printf '%s\n' '$(CURDIR)/.cache/bin' '$(CURDIR)/.cache/uv/bin' >> "$${GITHUB_PATH:-/dev/stdout}"

.PHONY: parts
parts: setup ## fetch the genuine parts that tests use: the image, and Pulumi's Docker provider
	@docker pull --quiet "$$(.venv/bin/python -c 'from tests.genuine import IMAGE; print(IMAGE)')"
	@pulumi plugin install resource docker "$$(.venv/bin/python -c 'from importlib.metadata import version; print(version("pulumi-docker"))')"
	@command -v pulumi-language-python

PULL_REQUEST ?=

.PHONY: comment
comment: setup ## put the review under a pull request, in the place of the last one (PULL_REQUEST=…; gh, GITHUB_REPOSITORY)
	@$(RUN) comment '$(REPORT)' --number '$(PULL_REQUEST)'

.PHONY: issue
issue: setup ## open, update or close the issue about a stack's drift (gh, GITHUB_REPOSITORY)
	@$(RUN) issue '$(REPORT)' --title 'Stack $(STACK) is not as declared'
