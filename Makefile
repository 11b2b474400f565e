# SPDX-License-Identifier: Apache-2.0
# `make` says what there is. Every target does all its own set-up, once.

PYTHON ?= python3
DEMO_ARGS ?=
TOX_ARGS ?=
BENCH_ARGS ?=
SERVERS ?= jaeger rabbit
CLOUD_ARGS ?=
SCALE_ARGS ?=

JAVA_SERVERS := elasticsearch elasticsearch8 opensearch mongo_java
STAMPS := .stamps
PACKAGING := pyproject.toml setup.py osprofiler/__init__.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo cloud scale test test-all lint lint-js docs changelog coverage bench bench-quick jaeger stores ferretdb kafka $(JAVA_SERVERS) servers clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(STAMPS)/demo ## a traced request through a small cloud; DEMO_ARGS="--help" shows what it can do
	@.venv-demo/bin/osprofiler demo $(DEMO_ARGS)

cloud: $(STAMPS)/cloud jaeger ## a real OpenStack that boots a traced server; CLOUD_ARGS="--help" shows what it can do
	@$(PYTHON) -m tools.cloud $(CLOUD_ARGS)

scale: $(STAMPS)/scale jaeger kafka opensearch ## a Jaeger of several processes with Kafka and OpenSearch, fed and analysed; SCALE_ARGS="--help" shows what it can do
	@.venv-scale/bin/python -m tools.scale $(SCALE_ARGS)

test: $(STAMPS)/debian $(STAMPS)/tox jaeger stores ## every guarantee once, against real servers; TOX_ARGS="-- tests/unit" for a part
	.venv-tox/bin/tox -e lint,py3 $(TOX_ARGS)

test-all: $(STAMPS)/debian $(STAMPS)/cloud $(STAMPS)/debootstrap $(STAMPS)/libvirt $(STAMPS)/tox jaeger stores kafka ## also the long stress, every Python there is, and the oldest libraries
	$(MAKE) lint-js
	.venv-tox/bin/tox -e lint,docs,all,oldest,py310,py311,py312,py313 --skip-missing-interpreters=true $(TOX_ARGS)

lint: $(STAMPS)/tox ## style and types only
	.venv-tox/bin/tox -e lint

lint-js: $(STAMPS)/eslint ## style of the report's page; needs node and npm
	node tools/eslint/lint.mjs

docs: $(STAMPS)/tox ## the documentation, in doc/build/html
	.venv-tox/bin/tox -e docs

changelog: $(STAMPS)/tox ## what is new for operators, from releasenotes/notes
	@.venv-tox/bin/tox -q -e docs --notest && .tox/docs/bin/reno --quiet report --no-show-source . | sed "s/^0\.0\.0$$/Not tagged yet/"

coverage: $(STAMPS)/tox ## which lines and branches the unit tests run
	.venv-tox/bin/tox -e coverage

bench: $(STAMPS)/bench jaeger ## compare with every other tracer, about 20 minutes; BENCH_ARGS="--help" shows what it can do
	.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(STAMPS)/bench jaeger ## the same with less of everything, two minutes
	.venv-bench/bin/python -m benchmarks --quick $(BENCH_ARGS)

jaeger: ## Jaeger's binary: JAEGER_BIN, PATH, or built once
	@tools/jaeger-build

stores: ferretdb $(JAVA_SERVERS) ## FerretDB, Elasticsearch 7 and 8, OpenSearch, mongo-java-server: built or fetched once

ferretdb: $(STAMPS)/debian
	@tools/ferretdb-build

$(JAVA_SERVERS) kafka: $(STAMPS)/debian
	@tools/java-server-build $(patsubst mongo_java,mongo-java-server,$@)

# Of what is built, only the servers that are named.
servers: $(STAMPS)/debian $(filter jaeger ferretdb $(JAVA_SERVERS),$(SERVERS)) ## run real servers until Ctrl-C; SERVERS="jaeger rabbit mariadb postgres"
	@$(PYTHON) -m tests.servers $(SERVERS)

clean: ## remove what these targets made here; the cached Jaeger stays
	rm -rf tools/eslint/node_modules .venv-bench .venv-demo .venv-scale .venv-tox .tox $(STAMPS) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/debian: tools/setup-debian
	tools/setup-debian
	@mkdir -p $(STAMPS) && touch $@

# uWSGI comes as source, and so do some of the oldest libraries.
$(STAMPS)/cloud: tools/setup-debian
	tools/setup-debian build-essential python3-dev python3-venv rabbitmq-server mariadb-server
	@mkdir -p $(STAMPS) && touch $@

# A new user's Debian is made with it.
$(STAMPS)/debootstrap: tools/setup-debian
	tools/setup-debian debootstrap
	@mkdir -p $(STAMPS) && touch $@

# Its Python binding, which an index has only as source.
$(STAMPS)/libvirt: tools/setup-debian
	tools/setup-debian python3-libvirt
	@mkdir -p $(STAMPS) && touch $@

# Debian keeps what makes virtual environments in a package of its own.
$(STAMPS)/venv:
	$(PYTHON) -m ensurepip --version >/dev/null 2>&1 || tools/setup-debian python3-venv
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/tox: $(STAMPS)/venv
	$(PYTHON) -m venv --clear .venv-tox
	.venv-tox/bin/pip install --quiet 'tox>=4.21'
	@touch $@

$(STAMPS)/eslint: tools/eslint/package-lock.json
	cd tools/eslint && npm ci --silent --no-audit --no-fund
	@mkdir -p $(STAMPS) && touch $@

# Without the package wheel, Debian's pip warns of each library that has only its source in the index.
$(STAMPS)/demo: $(STAMPS)/venv $(PACKAGING)
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet wheel
	.venv-demo/bin/pip install --quiet --editable '.[demo]'
	@touch $@

$(STAMPS)/scale: $(STAMPS)/venv $(PACKAGING)
	$(PYTHON) -m venv --clear .venv-scale
	.venv-scale/bin/pip install --quiet wheel
	.venv-scale/bin/pip install --quiet --editable '.[otlp,parquet]' 'duckdb>=1.3'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/venv
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/pip install --quiet 'pyperf>=2.10' 'msgpack>=1.0' 'tomli>=2; python_version < "3.11"'
	@touch $@
