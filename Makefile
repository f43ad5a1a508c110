# The index of commands. Each is one call of cargo or of `cpn-env` (tests/env), which does what takes more than a line.
#
# Needs Rust, Go, a C compiler and make. The first run of demo, up, test or bench builds a Kubernetes control plane with Go
# (about 8 minutes on two cores, once; kept outside the checkout) and the operator (about 3 minutes). The first test builds Helm
# too (2 minutes).

CARGO ?= cargo
# The library's tests: the only ones that are worth optimising, see Cargo.toml.
LIVES = CARGO_PROFILE_TEST_OPT_LEVEL=2 $(CARGO) test --locked --lib
ENVIRONMENT = $(CARGO) run --quiet --locked --package cpn-env --
CRD = crds/telephony.chiroflow.io_clinicphonenumbers.yaml
CHART_CRD = charts/clinic-phone-operator/files/crd.yaml
SOAK_RUNS ?= 20000
HOURS = each_pair_of_faults_is_survived_by_every_other_life

.DEFAULT_GOAL := help
.PHONY: help demo up down test test-exhaustive test-pairs contract live-check soak fuzz bench lint crd build clean-cache

help: ## Print this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '|' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo
	@echo "CLUSTER=current makes demo and up use the cluster of the current kubeconfig context, instead of a control plane of"
	@echo "their own. They ask first (YES=1 answers) and remove what they made."

demo: ## Start everything from nothing, show what the operator does, check it, end everything (about a minute)
	@$(ENVIRONMENT) demo

up: ## The same environment left running: control plane, simulated Twilio, inbox, operator; writes and prints .local/env
	@$(ENVIRONMENT) up

down: ## End what `make up` started
	@$(ENVIRONMENT) down

test: build ## All tests; those that need a real API server start one
	@$(ENVIRONMENT) build >/dev/null
	$(LIVES)
	$(CARGO) test --locked --bins --test '*'
	$(CARGO) test --locked --package cpn-env
	$(CARGO) test --locked --workspace --doc

test-exhaustive: build ## Pairs of faults, faults in a bad world and by chance, two hundred kills (some minutes)
	@$(ENVIRONMENT) build >/dev/null
	$(LIVES) --no-run
	$(CARGO) test --locked --test apiserver --no-run
	$(MAKE) --jobs=2 exhaustive-lives exhaustive-kills

# Side by side: a killed operator's window is waited for, and the lives leave it the processor when it is over.
.PHONY: exhaustive-lives exhaustive-kills
exhaustive-lives:
	nice -n 19 env $(LIVES) -- --ignored --nocapture --skip $(HOURS) \
		plan::tests::faults controller::tests::exhaustive controller::tests::chance controller::tests::made_up

exhaustive-kills:
	$(CARGO) test --locked --test apiserver drills:: -- --ignored --nocapture

test-pairs: ## Every pair of faults in every life, with the real passes (hours; shorter lives first)
	$(LIVES) -- --ignored --nocapture $(HOURS)

contract: build ## Client and simulator against Twilio's API description and client libraries (needs Python 3.11 and Node 20)
	@tests/contract/run

live-check: ## Ask the real Twilio whether what is assumed of it is so; reads only (see docs/live-check.md)
	@tests/contract/live_check.py $(LIVE)

soak: ## Faults and lives by chance from fresh seeds, SOAK_RUNS (20000) of each; a failure prints its seed
	CPN_FROM=$$(date +%s)000000 CPN_RUNS=$(SOAK_RUNS) $(LIVES) -- --ignored --nocapture \
		controller::tests::chance controller::tests::made_up

fuzz: ## Every fuzz target for FUZZ_SECONDS (20) each; needs a C++ compiler; see fuzz/README.md
	@fuzz/run

bench: ## Count calls, writes and purchases at 100 resources; measure the release binary
	@$(ENVIRONMENT) bench

lint: ## Formatting, clippy and documentation, with every warning an error
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --locked

crd: ## Write the CRD anew from the Rust types, into crds/ and into the chart
	$(CARGO) run --quiet --locked --bin clinic-phone-operator -- crd > $(CRD).new
	mv $(CRD).new $(CRD)
	cp $(CRD) $(CHART_CRD)

build: ## Build the operator
	$(CARGO) build --locked --bin clinic-phone-operator

clean-cache: ## Remove the built control plane, which is shared by all checkouts; the next run builds it again
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/clinic-phone-operator/control-plane"
