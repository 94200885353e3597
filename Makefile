# make demo runs the main job, make test the whole test suite; both set up what they need.
# The distribution's Python before any other: it is built with profile-guided optimisation (decision 0013).
CAN_SETUP := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell /usr/bin/python3 $(CAN_SETUP) && echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
ON_ALL_CORES = $(BIN)/python -m pytest --numprocesses auto --dist loadfile
FLIGHTS := examples/flights
BENCHES := access actors contracts dsl editor evolution expressions edges streams pipeline placement deciding runs steps launch barn

.PHONY: setup demo test unit laws check fmt bench coverage editors lock upgrade fresh clean

# The environment: uv in a venv, and exactly what requirements.lock names.

setup: $(VENV)/ready

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Runink needs Python 3.11 or later; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q runink
	touch $@

$(FLIGHTS)/data/flights.csv: | setup
	$(BIN)/python scripts/flights_data.py $(FLIGHTS)/data

# What people do.

demo: setup $(FLIGHTS)/data/flights.csv
	cd $(FLIGHTS) && ../../$(BIN)/runi run features/flights.dsl

# What takes processors and no clock or kernel of others runs on all cores; tests with real processes, one after the other.
QUICK := tests/simulation tests/style tests/unit tests/property tests/transcripts tests/editor
WHOLE := tests/cluster tests/vm
# Of tests/cluster: what looks at nothing but a project and what commands say of it, so that it disturbs nobody and nobody disturbs it.
BESIDE := $(patsubst %,tests/cluster/test_%.py,api_processes assertions_of_fields audiences bad_input barn_recover begun_project checkpoint_processes cli_barn cli_kills cli_state cli_use cluster_life contract_evolution control_plane_lost datacontract_cli deployed_schedules drained_nodes drifting_input edges_of_runs files_elsewhere flights forged_reports golden_runs herd_commands identity_placements login_commands metrics near_nodes object_stores oidc_keys oidc_provider own_packages pausing_processes personal_data pipeline_versions plain_programs plain_slices publish_kill publish_kill_s3 published_versions resumed_elsewhere resumed_processes retried_steps rogue_providers runs_over_http samples_of_outputs shown_files slice_documents slices_out_of_time standard_streams store_of_herd synthetic_pipelines team_tutorial tokens_of_programs trusted_nodes tutorial watching_saves why_runs written_examples)

test: setup $(FLIGHTS)/data/flights.csv
	failed=0; $(ON_ALL_CORES) $(QUICK) $(BESIDE) || failed=1; $(BIN)/python -m pytest $(WHOLE) $(addprefix --ignore=,$(BESIDE)) || failed=1; exit $$failed

unit: setup
	$(ON_ALL_CORES) tests/style tests/unit

laws: setup
	$(ON_ALL_CORES) tests/property

check: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fmt: setup
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

bench: setup $(FLIGHTS)/data/flights.csv .venv-bench/ready
	failed=0; for subject in $(BENCHES); do $(BIN)/python bench/$$subject.py || failed=1; done; exit $$failed

# What ours is measured against, apart from what Runink needs.
.venv-bench/ready: bench/requirements.txt | setup
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	$(BIN)/uv pip install --quiet --python .venv-bench/bin/python --requirement bench/requirements.txt
	touch $@

coverage: setup
	$(BIN)/coverage run -m pytest --quiet tests/unit tests/property
	$(BIN)/coverage report

# The colours in editors, as VS Code's own engine tells them. Needs node and npm.
editors:
	cd editors/vscode && npm ci --silent --no-audit --no-fund && npm test --silent

# What maintainers do.

# Without the extras `planner` and `solver`: they bring numpy and pandas, which pyarrow loads in each process that finds them (a tenth and half a second).
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --extra all --group dev --universal --python-version 3.11 --generate-hashes --no-header --output-file requirements.lock

# Takes in what pyproject.toml newly asks for; versions that are locked stay.
lock: setup
	$(LOCK)

upgrade: setup
	$(LOCK) --upgrade

# Tries `make demo` and `make test` from a clone in a fresh Debian root. Needs root and debootstrap.
fresh:
	scripts/fresh_root.sh

clean:
	rm -rf $(VENV) .venv-bench build dist $(FLIGHTS)/out $(FLIGHTS)/.runink
