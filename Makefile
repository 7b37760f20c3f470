# `make quickstart` and `make test` need Python 3.11 or newer, pip, make and gcc; nothing else.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := train,cpu,serve

.PHONY: setup quickstart test check clean

setup: .venv/ready

# pip looks for a CPU build of torch where this machine's pip is told to look; uv asks PyTorch's own index.
.venv/ready: pyproject.toml constraints.txt overrides.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(BIN)/pip install --quiet --no-deps torch==2.13.0+cpu \
	  || $(BIN)/uv pip install --python $(BIN)/python --no-deps --torch-backend cpu torch==2.13.0
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --override overrides.txt --compile-bytecode \
	  --editable ".[$(EXTRAS)]" --group dev
	touch $@

quickstart: .venv/ready
	$(BIN)/python scripts/quickstart.py --output quickstart

test: .venv/ready
	$(BIN)/pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv quickstart
