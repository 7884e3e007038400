# Two commands do everything, set-up included: `make demo` and `make test`. `make help` lists the rest.

PYTHON_SOURCES = router tests deploy/grafana/dashboards.py

.PHONY: help setup setup-test demo demo-down test lint types bench guards chaos fuzz schema docs site
# Every target prepares the same .venv.
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## .venv/bin/router, and what it needs
	@deploy/setup.sh run

setup-test:
	@deploy/setup.sh test

demo: setup ## a primary, two replicas, two shards, the router and clients; ARGS=--detach leaves them running
	@.venv/bin/router demo --load $(ARGS)

demo-down: ## stop what `make demo ARGS=--detach` left running
	@.venv/bin/router demo --down

test: setup-test lint types ## lint, types and every test, on real servers
	@.venv/bin/python -m router.sandbox || test -z "$$CI"
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=50 --durations-min=5 $(ARGS)

lint: setup
	.venv/bin/ruff check $(PYTHON_SOURCES)
	.venv/bin/ruff format --check $(PYTHON_SOURCES)

types: setup-test
	.venv/bin/mypy --strict $(PYTHON_SOURCES)

bench: setup-test ## compare with the peers; ARGS=--quick takes two minutes
	.venv/bin/python -m tests.bench $(ARGS)

guards: setup-test ## take every guard of tests/traps.yaml out and see that tests notice; ARGS chooses some
	.venv/bin/python -m tests.guards $(ARGS)

chaos: setup-test ## ten minutes of faults on MariaDB and MySQL, and whether a promise was broken; ARGS
	.venv/bin/python -m tests.chaos $(ARGS)

fuzz: setup-test ## run the fuzz targets; ARGS chooses one
	.venv/bin/uv sync --quiet --frozen --inexact --group fuzz
	.venv/bin/python -m tests.fuzz $(ARGS)

schema: setup ## write config/routes.schema.json
	.venv/bin/router schema > config/routes.schema.json

docs: schema ## write the generated pages of docs/reference, and the dashboards
	.venv/bin/router schema --markdown > docs/reference/configuration.md
	.venv/bin/python -m router.admin.metrics_page > docs/reference/metrics.md
	.venv/bin/python -m router.admin.openapi > docs/reference/http-api.md
	.venv/bin/python deploy/grafana/dashboards.py
	.venv/bin/router schema --admin > docs/reference/admin.md

site: setup ## build the documentation into site/; every warning is an error
	@.venv/bin/uv sync --quiet --frozen --inexact --group docs
	.venv/bin/zensical build --clean --strict
