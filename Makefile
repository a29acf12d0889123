# Every target is one line that calls the real tool. The first run installs into .venv.
PYTHON ?= python3
BIN = .venv/bin
.PHONY: lab test check notebooks html coverage mutants bench bench-course faults soak clean install

lab: install ## JupyterLab with a running database
	@$(BIN)/tutorial lab

test: install ## every test: units, contracts, faults, notebooks; TESTS=tests/unit some of them
	@$(BIN)/python -m pytest -n auto --dist loadfile --nbval $(TESTS)

check: install ## style, types, layers, notebook structure
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/bandit -q -ll -r src tutorial_support && $(BIN)/tutorial lint

notebooks: install ## re-execute, write back only what really changed
	@$(BIN)/tutorial refresh

html: install ## the course as a web site, in build/site
	@$(BIN)/tutorial html

coverage: install ## how much of the library its own tests reach, branch by branch
	@mkdir -p build/coverage && $(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n auto --dist loadfile tests/unit tests/contracts tests/migrations
	@$(BIN)/coverage combine -q && $(BIN)/coverage report

mutants: install ## which changes of stores, outbox and subscriptions no test would notice; SAMPLE=60 SEED=1
	@$(BIN)/python -m tests.mutants --sample $(or $(SAMPLE),60) --seed $(or $(SEED),1)

bench: install ## the library against raw asyncpg and against peers; QUICK=1 for a rough look
	@$(BIN)/python -m benchmarks library $(if $(QUICK),--quick)

bench-course: install ## what a learner waits for
	@$(BIN)/python -m benchmarks verdicts && $(BIN)/python -m benchmarks course

faults: install ## kill everything at random and compare, for long; RUNS=20 SECONDS=30 SEED=1
	@$(BIN)/python -m tests.faults.campaign --runs $(or $(RUNS),20) --seconds $(or $(SECONDS),30) --seed $(or $(SEED),1)
	@$(BIN)/python -m tests.faults.isolation $(or $(OPERATIONS),100000)

soak: install ## half an hour of ordinary work, to see that nothing grows; MINUTES=30
	@$(BIN)/python -m tests.faults.soak run --minutes $(or $(MINUTES),30)

clean: ## the environment and the caches of this folder
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

install:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) found. Install Python 3.11 or newer, or say where it is: make lab PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) tutorial_support/install.py
