# `make demo` and `make test` need Python 3.11, make and a package index; each makes .venv itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
EXTRAS ?= dev,server
BIN := .venv/bin

.PHONY: demo test format clean

demo: .venv/ready-base
	$(BIN)/shopcue demo --out demo

test: .venv/ready-$(EXTRAS)
	scripts/check

format: .venv/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv demo

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Shopcue needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

.venv/ready-base: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/ready-%: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@ .venv/ready-base
