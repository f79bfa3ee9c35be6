# Two commands do everything, installation included: `make search` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One worker per core: the tests mostly wait for the compiler.
PYTEST := $(BIN)/pytest -n auto
# Usage events of ONNX Runtime stay off (docs/process.md, "Privacy").
export ORT_DISABLE_TELEMETRY := 1

.PHONY: search test test-slow test-versions fuzz check docs notebooks install
.PHONY: constraints licences clean

search: install  ## a real search on real pictures, on this CPU
	$(BIN)/nas_jax search experiments/fashion_cpu.py $(ARGS)

test: install  ## the tests
	$(PYTEST) -m "not slow"

test-slow: docs  ## what takes longer, after the site: slow tests, the benchmarks' own
	$(PYTEST) -m slow
	$(PYTEST) benchmarks/tests

fuzz: install  ## every reader of files, 20,000 damaged or hostile ones each
	$(BIN)/python -m fuzz $(ARGS)

test-versions:  ## the tests on the oldest and the newest versions (needs uv); a table
	$(PYTHON) tools/versions.py $(ARGS)

docs: $(VENV)/installed-docs  ## the site, into build/docs
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs build/docs

notebooks: $(VENV)/installed-docs  ## every .ipynb from the Python file beside it, executed
	$(BIN)/python tools/notebooks.py $(ARGS)

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

# What only the site and Jupyter need; a search does without.
$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[test,docs]"
	@touch $@

constraints:  ## pin today's versions (needs uv)
	uv pip compile setup.cfg --extra test --extra docs --universal --python-version 3.11 \
		--quiet --no-header --no-annotate --upgrade --output-file constraints.txt
	$(PYTHON) tools/versions.py --renew

licences: install  ## docs/licences.md, from the installed packages
	$(BIN)/python docs/licences.py

clean:
	rm -rf $(VENV) .cache/tests .pytest_cache .ruff_cache .mypy_cache .hypothesis
