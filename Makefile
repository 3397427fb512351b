PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := model streamer replay configs

.PHONY: demo test lint format docs site pictures clean

demo: $(VENV)/installed
	$(BIN)/kinestream demo

# What fails while other tests take the processors runs once more, alone: only what fails then has failed.
test: $(VENV)/installed
	$(BIN)/pytest -n 3 || $(BIN)/pytest --last-failed --last-failed-no-failures none

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

# The documentation as a site, of the Markdown and the docstrings: build/site/index.html. All anew, for what was read before
# is not warned of again.
site: $(VENV)/installed
	rm -rf build/site
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning -c docs/site . build/site

# The pictures of the documentation, of the running product: needs chromium, and some six minutes.
pictures: $(VENV)/installed
	$(BIN)/python -m tests.pictures

$(VENV)/installed: pyproject.toml setup.py constraints.txt \
  $(wildcard model/engine/kernel/*.[ch] model/recordings/*.c streamer/ingest/*.[ch] streamer/transport/*.c)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev,bench]'
	touch $@

clean:
	rm -rf $(VENV)
