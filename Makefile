# poolmap. `make demo` runs the demonstration, `make test` all tests; both set up what they need.
# Only relative paths are used, so that the folder may lie anywhere.

PYTHON ?= python3
CONFIG ?= config/config.yaml
CORES ?= all
RUNS ?= 5
BIN := .venv/bin
SNAKEMAKE := $(BIN)/python -m snakemake --cores $(CORES)

.PHONY: help demo run dry-run test bench sbc calibrate check format schema clean

help:
	@echo "make demo                       run the demonstration and print where its report is"
	@echo "make run CONFIG=config/my.yaml  run your own config"
	@echo "make dry-run CONFIG=...         check config and tables, show what would be run"
	@echo "make test                       run all tests"
	@echo "make bench                      effective samples a second, against PyMC (BENCH=meta, areas, areas:700, mrp: a part; RUNS=5)"
	@echo "make sbc                        simulation-based calibration of maps and surveys (hours)"
	@echo "make calibrate                  survey estimates against the truth, 1,200 samples (an hour)"
	@echo "make check                      formatter and linter"
	@echo "make schema                     write config/config.schema.json anew"
	@echo "make clean                      delete results/ (not your data, not the compiled programs)"

demo: .venv/installed
	@$(SNAKEMAKE)
	@echo "The report: results/report.html"

run: .venv/installed
	@$(BIN)/python scripts/check_config.py "$(CONFIG)"
	@$(SNAKEMAKE) --configfile "$(CONFIG)"
	@echo "The report: results/report.html"

dry-run: .venv/installed
	@$(BIN)/python scripts/check_config.py "$(CONFIG)" --tables
	@$(SNAKEMAKE) --configfile "$(CONFIG)" --dry-run
	@echo "Config and tables can be used. Above stands what a run would do, and before it what to look at."

test: .venv/installed-dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: .venv/installed .venv-bench/installed
	@RUNS=$(RUNS) OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/compare.py .venv-bench/bin/python $(BENCH)

sbc: .venv/installed
	@$(BIN)/python tests/calibration/sbc_areas.py
	@$(BIN)/python tests/calibration/sbc_mrp.py

calibrate: .venv/installed
	@$(BIN)/python tests/calibration/california.py

check: .venv/installed-dev
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m snakefmt --check Snakefile workflow

format: .venv/installed-dev
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .
	@$(BIN)/python -m snakefmt Snakefile workflow

schema: .venv/installed
	@$(BIN)/python scripts/write_schema.py

clean:
	rm -rf results

# The two stamps are written last, so that an interrupted installation is taken up again.
.venv/installed: requirements.lock
	@sh scripts/install.sh "$(PYTHON)" requirements.lock
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@sh scripts/install.sh "$(PYTHON)" requirements-dev.lock
	@touch $@

.venv-bench/installed: tests/benchmarks/requirements.txt
	@"$(PYTHON)" -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# For maintainers; needs uv (pip install uv).
.PHONY: lock
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
