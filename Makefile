# Two commands: `make book` builds the book, `make test` runs every check; `make lab` opens its notebooks.
# Options: SCALE=smoke|laptop|full  ONLY=study[,study]  (make book SCALE=laptop trains everything anew on digits)
SCALE ?= full
PYTHON ?= python3
ONLY ?=

# One torch thread per process, and threads that sleep while they wait: two-core machines need both.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

BIN := .venv/bin
READY := .venv/.ready

.PHONY: book lab test release-check clean
.DELETE_ON_ERROR:

book: $(READY)
	$(BIN)/bioinspired book --scale $(SCALE) $(if $(ONLY),--only $(ONLY))

# JupyterLab on the book's notebooks and their environment; it is fetched the first time, and not part of the lock.
lab: $(READY)
	PATH="$$PATH:$(CURDIR)/.uv/bin" uv run --locked --extra book --with jupyterlab jupyter lab book

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "not release"

# Before a release, with a network: environment.yml resolves, the slow tests pass, and the others do whatever way this
# processor takes through a matrix product.
SETTINGS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE MKL_ENABLE_INSTRUCTIONS=AVX2
release-check: $(READY)
	$(BIN)/pytest -m release
	set -e; for setting in $(SETTINGS); do echo $$setting; env $$setting $(BIN)/pytest -n 2 -m "not release"; done
	OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 $(BIN)/pytest -m "not release"

# uv comes from PATH where there is one, else into a virtual environment of its own.
$(READY): uv.lock pyproject.toml
	@command -v uv >/dev/null || test -x .uv/bin/uv || { echo "installing uv into .uv"; $(PYTHON) -m venv .uv && .uv/bin/python -m pip --quiet install uv; }
	@PATH="$$PATH:$(CURDIR)/.uv/bin"; uv sync --locked --extra book --compile-bytecode
	@touch $@

clean:
	rm -rf _build results/laptop results/smoke results/verify
