# One line of help for each target stands behind `##`. The work is done by cargo and by `tools/` (standard library only).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
TOOLS := $(PYTHON) -m tools
# Most tests wait for a server or for a process. Tests of one file share what they have set up, so a file stays whole.
TWO_AT_ONCE := -n 2 --dist loadfile
OTHER_VERSIONS := 1.12.14.2 1.13.6.3 2.0.6.0

.PHONY: help demo build wheels releases test test-rust test-python test-versions lint fmt lock licences clean simulate fuzz \
	chaos reliability reports memory differential shards-seeds canary-seeds canary-matrix test-airflow test-ray \
	bench bench-accelerators bench-barrier bench-engine bench-foreign-keys bench-instructions bench-link bench-main-thread bench-native bench-overlap \
	bench-real bench-redshift bench-redshift-threads bench-report bench-round-trips bench-scale bench-shards bench-start-up bench-tags bench-canary

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: ## ingest 500 tables with upstream's sink and with ours, side by side (first time under 5 minutes; WHEEL=file.whl: with that wheel)
	@$(PYTHON) -m demo $(if $(WHEEL),--wheel $(WHEEL))

build: ## build the wheel into dist/
	@$(TOOLS) wheel --copy-to dist

wheels: ## the sdist and the manylinux_2_17 wheel for dist/, audited, installed, up- and downgraded (zig; 10 minutes the first time)
	@$(TOOLS) wheels

test: test-rust test-python ## all tests, end to end with upstream 2.0.7.0 and 1.11.14.0

test-rust: ## the tests of the engine, the HTTP layer and the reference server
	cargo test --workspace --locked --quiet --features openmetadata-bulksink/defects,openmetadata-bulksink/panics

test-python: ## the tests that run Python, with upstream 2.0.7.0 and 1.11.14.0
	@$(TOOLS) pytest --upstream 2.0.7.0 -- $(TWO_AT_ONCE)
	@$(TOOLS) pytest --upstream 1.11.14.0 -- $(TWO_AT_ONCE) -m upstream

test-versions: test-python ## the end to end tests with all five upstream versions; eight others are tried
	@for version in $(OTHER_VERSIONS); do $(TOOLS) pytest --upstream $$version -- $(TWO_AT_ONCE) -m upstream; done
	@$(PYTHON) -m tests.releases try --spread --again

releases: ## try every release of upstream, writes docs/releases.md (hours; RELEASES="..." for some; goes on where it was)
	@$(PYTHON) -m tests.releases try $(RELEASES)

bench: ## the whole picture, one page of figures and bounds (33 minutes; QUICK=1: 8)
	@$(PYTHON) -m benchmarks picture $(if $(QUICK),--quick)

bench-report: ## the report's table: Python designs, upstream, ours (10 minutes; QUICK=1: 3; FULL=1: hours; FAULTS=0.01)
	@$(PYTHON) -m benchmarks report $(if $(QUICK),--quick) $(if $(FULL),--full) $(if $(FAULTS),--faults $(FAULTS))

bench-real: ## real ingestions of SQLite, PostgreSQL, Redshift, both sinks (12 minutes; FULL=1: 5,000 and 10,000 tables, too)
	@$(PYTHON) -m benchmarks real $(if $(FULL),--full --cases sqlite postgres redshift postgres-5000 postgres-foreign-keys redshift-10000)

bench-overlap: ## the PostgreSQL of it: is writing hidden behind extraction? (KEYS=1: with two foreign keys a table)
	@$(PYTHON) -m benchmarks real --cases postgres$(if $(KEYS),-foreign-keys --full)

bench-redshift: ## the Redshift of it, with life cycles (FULL=1: 10,000 tables, server without latency)
	@$(PYTHON) -m benchmarks real --cases redshift$(if $(FULL),-10000)

bench-start-up: ## from the start of the process to the first request, beside upstream; what a profiler pays
	@$(PYTHON) -m benchmarks start-up

bench-canary: ## how long `doctor --canary` takes on a server at 105 ms a request and 26 ms a row
	@$(PYTHON) -m benchmarks canary

bench-native: ## the native sink by itself: an overloaded server, life cycles, and how soon its waits end
	@$(PYTHON) -m benchmarks native

bench-tags: ## 2,000 tables and 18,000 tag records of 40 tags: requests, and time added to the run, beside upstream
	@$(PYTHON) -m benchmarks tags

bench-link: ## does it pay to compress requests over a link of 50 Mbit/s and 40 ms?
	@$(PYTHON) -m benchmarks link

bench-redshift-threads: ## does `threads: N` pay where Redshift's catalogue takes 200 ms a query?
	@$(PYTHON) -m benchmarks redshift-threads

bench-shards: ## one ingestion in 1, 2, 4 shards: MariaDB at 10 ms a statement, Redshift at 200 ms; Airflow, Ray (QUICK=1: smaller, without them)
	@$(PYTHON) -m benchmarks shards $(if $(QUICK),--quick)

bench-round-trips: ## what 0 to 30 ms to the source's database cost: PostgreSQL, MariaDB, Redshift; upstream, its threads, ours, 4 and 8 ahead (QUICK=1: smaller)
	@$(PYTHON) -m benchmarks round-trips $(if $(QUICK),--quick)

bench-accelerators: ## what a Redshift table costs the source with each accelerator, with all, with none (6 minutes; SOURCE=postgres, sqlite)
	@$(PYTHON) -m benchmarks accelerators $(if $(SOURCE),--source $(SOURCE))

simulate: ## the engine in 100,000 made-up worlds (SEEDS=n for another number; SEED=n tells one of them)
	SEEDS=$${SEEDS:-100000} cargo test --release --locked --test engine -- seeds --nocapture

fuzz: ## a minute of made-up input for each target of fuzz/ (SECONDS=n; PLANTED=1: with a panic that must be found)
	@$(TOOLS) fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(PLANTED),--planted)

bench-main-thread: ## microseconds of the main thread for one record, against serialising it
	@$(PYTHON) -m benchmarks main-thread

bench-scale: ## a million tables: memory over time, and our own ceiling (QUICK=1: 200,000)
	@$(PYTHON) -m benchmarks scale $(if $(QUICK),--tables 200000)

bench-engine: ## the engine alone, with criterion
	cargo bench --locked --bench engine

bench-instructions: ## instructions for each record against the committed figures (FULL=1: the main thread too)
	@$(PYTHON) -m benchmarks instructions $(if $(FULL),--main-thread)

lint: ## formatting, clippy, ruff, mypy, stubs
	@$(TOOLS) lint

fmt: ## format Rust and Python
	@$(TOOLS) fmt

memory: ## a million tables from a source that outruns the server
	@BULKSINK_TEST_TABLES=1000000 $(TOOLS) pytest --upstream 2.0.7.0 -- -s tests/python/faults/test_memory.py -k flat

lock: ## resolve the pinned Python requirements again
	@$(TOOLS) lock

licences: ## write THIRD-PARTY-LICENSES again, the licence texts of what is linked into a wheel
	@$(TOOLS) licences

clean: ## remove what was built here; environments stay in the cache
	rm -rf target dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

chaos: ## 200 seeded runs of the real sink in bad weather, then the deadline at full scale (SEEDS=n; SEED=n runs one again)
	@$(PYTHON) -m tests.chaos --environment "$$($(TOOLS) upstream 2.0.7.0 --with-sink)" --server "$$($(TOOLS) server)" $(if $(SEEDS),--seeds $(SEEDS))
ifndef SEED
	@BULKSINK_TEST_SCALE=1 $(TOOLS) pytest --upstream 2.0.7.0 -- tests/python/faults/test_deadline.py
endif

test-airflow: ## the example under a real Airflow 3: a mapped run, a shard that is killed (installs it the first time)
	@$(TOOLS) pytest --beside airflow -- tests/airflow

test-ray: ## the example on a Ray of this machine (the first time 2 minutes for installing)
	@$(TOOLS) pytest --beside ray -- tests/ray

shards-seeds: ## 20 warehouses as 2 and 4 shards against one run, and 20 shards killed at random moments (SEEDS="1 2 ...")
	@SEEDS_OF_SHARDS="$(or $(SEEDS),$(shell seq 1 20))" SEEDS_OF_KILLS="$(or $(SEEDS),$(shell seq 1 20))" $(TOOLS) pytest --upstream 2.0.7.0 -- \
		tests/python/shards/test_one_run_as_many.py tests/python/shards/test_hazards.py -k "one_run_leaves or killed"

canary-seeds: ## the canary on a server that is wrong, odd or interrupted (SEEDS=n for another number than 200)
	@SEEDS=$(or $(SEEDS),200) $(TOOLS) pytest --upstream 2.0.7.0 -- $(TWO_AT_ONCE) tests/python/canary

canary-matrix: ## the canary with all five upstream versions on every profile of the reference server
	@for version in 1.11.14.0 2.0.7.0 $(OTHER_VERSIONS); do PROFILES="1.11 1.12 1.13 2.0" $(TOOLS) pytest --upstream $$version -- \
		tests/python/canary/test_canary.py -k leave_the_same; done

reliability: ## measure the fault table of docs/reliability.md again, with both sinks
	@$(TOOLS) pytest --upstream 2.0.7.0 -- tests/python/faults/measure.py

reports: ## the reports of nine real runs, one with an outage of a minute: does each account for all of its time? (2 minutes)
	@OUTAGE=60 $(TOOLS) pytest --upstream 2.0.7.0 -- -s tests/python/test_report.py

differential: ## 5,000 streams through both sinks (STREAMS=n for another number; SEED=n shows one of them, shortened)
	@STREAMS=$(or $(STREAMS),5000) SEED=$(SEED) $(TOOLS) pytest -- tests/python/order/test_differential.py

bench-barrier: ## what barriers and threads cost the source loop, at full size (5 minutes)
	@FULL=1 $(TOOLS) pytest -- -s tests/python/order/test_overlap.py -k "barrier or threads"

bench-foreign-keys: ## what 2,000 foreign keys cost the source loop, beside upstream (10 minutes)
	@FULL=1 $(TOOLS) pytest -- -s tests/python/order/test_overlap.py -k foreign_keys
