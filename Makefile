PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := model streamer replay configs

.PHONY: demo test lint format docs clean

demo: $(VENV)/installed
	$(BIN)/kinestream demo

test: $(VENV)/installed
	$(BIN)/pytest

# mypy and the import contract know no folder by another name than its own: they look at links that stand as installed.
lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/house && mkdir -p build/house/kinestream
	ln -s $(addprefix $(CURDIR)/,$(wildcard kinestream/[a-z_]*) $(FOLDERS)) build/house/kinestream
	cd build/house && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml
	cd build/house && $(CURDIR)/$(BIN)/lint-imports $(CURDIR)/pyproject.toml

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The reference of commands and configuration keys, read off the code.
docs: $(VENV)/installed
	$(BIN)/python -m kinestream.commands.reference docs/reference

$(VENV)/installed: pyproject.toml setup.py constraints.txt $(wildcard model/engine/kernel/*.[ch] streamer/ingest/*.c)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev,bench]'
	touch $@

clean:
	rm -rf $(VENV)
