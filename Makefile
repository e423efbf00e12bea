# `make demo` and `make test` are all that a visitor needs; `make help` lists the rest.

CARGO ?= cargo
CONF ?= testdata/opencloseSSH.conf
TRACE ?= testdata/opencloseSSH.pcap
# How long `make fuzz` runs each target, and which (all, when empty).
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=
# Which files `make mutants` changes, and which package's tests must notice.
MUTANTS ?= engine/src/**
MUTANTS_PACKAGE ?= knock-engine
# How many worlds `make sim` simulates (as many as the minutes hold, when empty), and how long.
SEEDS ?=
MINUTES ?= 10

# Where `make install` puts things.
PREFIX ?= /usr/local
DESTDIR ?=
BUILT = $(or $(CARGO_TARGET_DIR),target)/release

# A snapshot that differs is a failed test, never a file rewritten on the way. Colour and width
# come from no terminal, so every machine prints the same.
TEST_ENV = INSTA_UPDATE=no CI=true NO_COLOR=1 CARGO_TERM_COLOR=never

# What `make test-quick` leaves out: namespaces, other users, and the real knockd.
NOT_QUICK = $(foreach it,capture:: host:: process_ log::processes again:: oracle,--skip $(it))

.DEFAULT_GOAL := help
.PHONY: help demo replay test test-quick test-full torture mutants coverage lint deny bench fuzz \
	sim sim-alarm sim-alarm-two deps captures release install uninstall deb

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Shows a knock live, in network namespaces; where there are none, replays one
	@CARGO=$(CARGO) ci/demo

replay: ## Replays a recorded knock and prints what came of it
	@ci/install-deps build
	$(CARGO) run --release --locked -p knock-replay -- run -c $(CONF) $(TRACE)

test: ## Runs the lints and every test
	@ci/install-deps build test
	@$(MAKE) --no-print-directory lint
	python3 -B testdata/record/make.py --check
	$(TEST_ENV) $(CARGO) test --workspace --locked </dev/null
	@$(MAKE) --no-print-directory sim-alarm-two

test-quick: ## Runs what needs no root, no namespaces and no network, in under two minutes
	@ci/install-deps build
	$(TEST_ENV) $(CARGO) test --locked -p knock-engine -p knock-reference -p knock-frontend \
		-p knock-replay -p knockd --lib --bins --test it -- $(NOT_QUICK) </dev/null

torture: ## Kills, starves and misleads the real daemon, in full (hours)
	@ci/install-deps build test
	SESAME_TEST=full $(TEST_ENV) $(CARGO) test -p knockd --test torture --locked -- \
		--test-threads=1 --nocapture </dev/null

mutants: ## Changes MUTANTS (the engine) in every way and runs the tests of MUTANTS_PACKAGE (hours)
	@CARGO=$(CARGO) ci/mutants "$(MUTANTS_PACKAGE)" "$(MUTANTS)"

coverage: ## Prints the lines of the heart of the project that no test reaches
	@CARGO=$(CARGO) ci/coverage

test-full: ## Runs the kernel's tests in full, and installs the Debian package in a Debian of its own
	@ci/install-deps build full
	$(CARGO) build -p knock-replay --locked
	SESAME_TEST=full $(TEST_ENV) $(CARGO) test -p knockd --test kernel --locked </dev/null
	$(TEST_ENV) $(CARGO) test -p knock-pages --test debian --locked </dev/null

lint: ## Checks the format, clippy, the documentation and the text of every file
	ci/check-text
	python3 -B ci/check-tests-map
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

deny: ## Checks the licences and sources of all dependencies, where cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check licenses bans sources; \
	else \
		echo "make deny: NOT CHECKED: cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

bench: ## Prints the tables of speed and memory (minutes, and some GB of disk)
	@ci/install-deps build test bench
	$(CARGO) run --release --locked -p knock-benches --bin bench
	$(CARGO) run --release --locked -p knock-benches --bin live

fuzz: ## Fuzzes each target for FUZZ_SECONDS (default 60); FUZZ_TARGETS chooses
	@FUZZ_SECONDS=$(FUZZ_SECONDS) CARGO=$(CARGO) ci/fuzz $(FUZZ_TARGETS)

sim: ## Simulates the daemon in SEEDS worlds, or for MINUTES (default 10), on all cores
	$(CARGO) run --release --locked -p knock-sim -- \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES))

sim-alarm: ## Checks that the simulation finds each of ten bugs within a minute
	$(CARGO) run --locked -p knock-sim --features alarm -- --alarm all

sim-alarm-two: ## Checks that for two of the ten bugs, which change with the day
	$(CARGO) run --locked -p knock-sim --features alarm -- --alarm two

release: ## Builds what `make install` installs, man pages and completions too
	@ci/install-deps build
	$(CARGO) build --release --locked -p knockd -p knock -p knock-replay -p knock-pages
	$(BUILT)/knock-pages $(BUILT)/share

install: ## Installs it below PREFIX (/usr/local) and DESTDIR; builds nothing
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" packaging/install install

uninstall: ## Takes it away again, all but the configs
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" packaging/install uninstall

deb: release ## Makes a Debian package, with cargo-deb
	@CARGO=$(CARGO) packaging/deb

deps: ## Installs the Debian packages that the other targets need
	@ci/install-deps build demo test bench

captures: ## Makes the generated captures of testdata/ again
	python3 -B testdata/record/make.py
