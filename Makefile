# What people and CI run. Everything is put below the target folder; nothing is installed on the machine.

SHELL := /bin/bash
.DEFAULT_GOAL := help

TARGET  := $(or $(CARGO_TARGET_DIR),target)
CARGO   ?= cargo
PYTHON  ?= python3
SEEDS   ?= 200
FROM    ?= 1
MINUTES ?= 1
FUZZ    ?= manifests

.PHONY: help demo test chart bench verify fix simulate figures faults fuzz supply mutants tools postgres

help: ## What there is to run
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Most tests wait for fleets and compute little.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

demo: postgres ## A fleet of three Regions on this machine loses one of them
	$(CARGO) build --workspace --bins
	$(TARGET)/debug/failoverctl sandbox demo

# Of simulated fleets; the tests, which build this example too, have a few more.
TESTED = --seeds 2000 --minutes 2

test: tools verify ## Everything that CI checks; thousands of simulated seeds are at its end
	$(CARGO) test --workspace
	$(TARGET)/debug/examples/simulate $(TESTED)

chart: tools ## The chart, its alerts and the image alone; UPDATE_GOLDEN=1 takes what is rendered now as right
	$(CARGO) build --workspace --bins
	cd tests/python && $(abspath $(TARGET))/tools/venv/bin/python -m unittest test_chart test_chart_fleet test_alerts test_alerts_live

# A hundred hours of outages, in less than ten minutes.
SIMULATED = --seeds 100 --minutes 60

bench: ## What is promised about speed and size, measured
	@tools/need cargo cc
	$(CARGO) build --release --example simulate
	$(CARGO) bench --bench promises
	@begun=$$SECONDS; $(TARGET)/release/examples/simulate $(SIMULATED); took=$$((SECONDS - begun)); \
		test $$took -lt 600 && verdict=ok || verdict=OVER; \
		echo "100 simulated hours: $$took s, < 600 s, $$verdict"; test $$verdict = ok

verify: ## Look for faults of form; changes nothing
	@tools/need cargo cc
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fix: ## Repair faults of form
	$(CARGO) fmt --all
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

simulate: ## SEEDS=n [FROM=seed]: thousands of simulated outages
	@tools/need cargo cc
	$(CARGO) build --workspace --example simulate
	$(TARGET)/debug/examples/simulate --seeds $(SEEDS) --from $(FROM)

figures: ## SEEDS=n: what the simulation tries, in the README's table
	@tools/need cargo cc
	$(CARGO) build --workspace --example simulate
	$(PYTHON) tools/figures $(TARGET)/debug/examples/simulate $(SEEDS) $(FROM)

faults: postgres ## [MINUTES=n] [SEED=n]: real daemons on a real network that fails, see docs/faults.md
	$(CARGO) build --workspace --bins
	MINUTES=$(MINUTES) $(if $(SEED),SEED=$(SEED)) $(CARGO) test --workspace --test it -- --ignored --exact --nocapture \
		faults::random::random_faults_for_some_minutes

fuzz: ## FUZZ=target [MINUTES=n]: hostile input, see docs/fuzzing.md
	@tools/need cargo cc g++
	tools/fuzz $(FUZZ) $(MINUTES) $(abspath $(or $(CARGO_TARGET_DIR),target))/fuzz

supply: tools ## Crates: licences, duplicates, sources; ADVISORIES=yes asks for known faults too, which needs the network
	tools/deny $(TARGET) bans licenses sources $(if $(ADVISORIES),advisories)

mutants: ## Break the domain's decisions one by one, and see whether a test notices; hours. MUTANTS="--re fleet/guards": a part
	@tools/need cargo cc
	tools/mutants $(TARGET) $(MUTANTS)

tools: ## Below the target folder: a Postgres, unless the machine has one; an emulator of AWS and clients for it; Helm; Prometheus
	@tools/need cargo cc
	@PYTHON=$(PYTHON) tools/postgres $(TARGET)
	@PYTHON=$(PYTHON) tools/python $(TARGET)
	@PYTHON=$(PYTHON) tools/helm $(TARGET)
	@tools/prometheus $(TARGET)

postgres:
	@tools/need cargo cc
	@PYTHON=$(PYTHON) tools/postgres $(TARGET)
