PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo lint check test docs audit clean

demo: .venv/demo.stamp
	$(BIN)/fuse2task demo -o runs/demo

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Before a commit: minutes on two cores.
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

docs: .venv/test.stamp
	$(BIN)/zensical build --clean --strict

# Known vulnerabilities of what is installed; a package index without an advisory service leaves no report behind.
audit: .venv/demo.stamp
	@$(PYTHON) -m venv .venv/audit
	@if ! .venv/audit/bin/python -m pip install --quiet pip-audit; then \
	  echo "audit skipped: the package index has no pip-audit"; exit 0; fi; \
	rm -f .venv/audit/report.json; \
	.venv/audit/bin/pip-audit --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')" \
	  --skip-editable --format json --output .venv/audit/report.json; found=$$?; \
	if [ ! -s .venv/audit/report.json ]; then \
	  echo "audit skipped: no advisory service could be asked (see above)"; exit 0; fi; \
	exit $$found

.venv/demo.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test.stamp: .venv/demo.stamp
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build dist
