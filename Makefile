# Two commands do everything, installation included: `make search` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One worker per core: the tests mostly wait for the compiler.
PYTEST := $(BIN)/pytest -n auto
# Usage events of ONNX Runtime stay off (README, "Privacy").
export ORT_DISABLE_TELEMETRY := 1

.PHONY: search test test-slow check install constraints clean

search: install  ## a real search on real data, on this CPU
	$(BIN)/nas_jax search experiments/digits_cpu.py $(ARGS)

test: install  ## the tests
	$(PYTEST) -m "not slow"

test-slow: install  ## what takes longer
	$(PYTEST) -m slow

check: install  ## format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

install: $(VENV)/installed

# Versions are pinned, so that the same install comes out tomorrow.
$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[test]"
	@touch $@

constraints:  ## pin today's versions (needs uv)
	uv pip compile setup.cfg --extra test --universal --python-version 3.11 \
		--quiet --no-header --no-annotate --upgrade --output-file constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
