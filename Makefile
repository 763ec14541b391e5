# make setup   system packages, .venv and the sysroot; quick when they are there
# make demo    builds a real server with uk-gcc, boots it, talks to it
# make test    all tests;  make lint  style and types;  make bench  measurements

.PHONY: setup demo test lint bench venv
.DEFAULT_GOAL := setup

PYTHON := .venv/bin/python

setup:
	@scripts/setup

venv:
	@scripts/setup packages venv

demo: setup
	@$(PYTHON) -m ukcc.demo

# PYTEST_ADDOPTS narrows a run, for example PYTEST_ADDOPTS='-k sysroot'.
test: setup
	$(PYTHON) -m pytest $(wildcard tests/unit tests/build tests/boot)

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: setup
	@$(PYTHON) -m ukcc.bench
