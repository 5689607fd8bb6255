# Needs Python 3.11 or newer and make; everything else is put into ./.venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help

READY := .venv/ready
BIN := .venv/bin
BENCHMARKS := through_celery many_per_message recording publishing verifying

.PHONY: help venv run test prove mutants lint bench lock clean

# An environment made in another folder (a moved or copied checkout) is made again.
ifneq ($(CURDIR),$(shell cat $(READY) 2>/dev/null))
.PHONY: $(READY)
endif

$(READY): requirements.lock pyproject.toml .ci/venv
	@./.ci/venv

help: ## Say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1 - \2/p' Makefile

venv: $(READY) ## Prepare ./.venv: pinned packages and the project itself

run: $(READY) ## Race credits and config under every strategy, and judge each
	@$(BIN)/rowrace run credits config --strategy all

test: $(READY) ## Run the tests: unit, integration, acceptance
	@$(BIN)/python -m pytest -m "not prove and not fleets" --numprocesses 2
	@$(BIN)/python -m pytest -m "not prove and fleets" --numprocesses 2 --dist loadfile

prove: $(READY) ## Run every test, the long ones too, and every mutant of the verifier
	@$(BIN)/python -m pytest -m "not fleets" --numprocesses 2 --timeout 1800
	@$(BIN)/python -m pytest -m fleets --numprocesses 2 --dist loadfile --timeout 1800
	@$(BIN)/python -m tests.mutants --jobs 2

mutants: $(READY) ## Try a few mutants of the verifier: does a test notice each
	@$(BIN)/python -m tests.mutants --jobs 2 --sample 40 --least 75

lint: $(READY) ## Check style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) ## Measure what benchmarks/README.md describes
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name; done

lock: ## Choose new pins for requirements.lock (needs Python 3.11)
	@$${PYTHON:-python3.11} .ci/lock.py

clean: ## Remove the environment and all caches; results of runs stay
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
