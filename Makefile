# The commands of the project; "make help" lists them. All products go below build/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
STEPS ?=
KILLS ?= 100
SEED ?=
SOAK_HOURS ?= 1
CCACHE_DIR ?= $(CURDIR)/build/.ccache
npm_config_cache ?= $(CURDIR)/build/.npm
export CCACHE_DIR npm_config_cache JOBS

.PHONY: build all ui test check demo bench crash soak fuzz install clean help

build: ## build the program: build/curfew
	tools/bootstrap
	cmake --preset release >/dev/null
	ninja -C build -j$(JOBS) curfew

all: ## build the program and all tests
	tools/bootstrap
	cmake --preset release >/dev/null
	ninja -C build -j$(JOBS)

ui: ## build the web page alone, and check its types
	tools/bootstrap
	cmake --preset release >/dev/null
	ninja -C build curfew_page

test: ## build everything and run all tests, with a throw-away PostgreSQL
	tools/bootstrap compat
	$(MAKE) --no-print-directory all
	tools/run_tests build

check: ## formatting, lint, sanitizer builds with all tests, short fuzz runs (STEPS="format tidy")
	tools/bootstrap check
	tools/check $(STEPS)

demo: build ## play the whole story against a throw-away PostgreSQL
	tools/demo

bench: ## build and run the benchmarks
	tools/bootstrap bench
	cmake --preset bench >/dev/null
	ninja -C build/bench -j$(JOBS)
	bench/run build/bench

crash: build ## kill server and PostgreSQL at random moments, KILLS (100) times each (SEED=…)
	cmake --preset release >/dev/null
	ninja -C build -j$(JOBS) curfew_crash
	KILLS=$(KILLS) SEED=$(SEED) tools/with-postgres build/curfew_crash

soak: ## SOAK_HOURS (1) of mixed work on a moved clock: what is in use has to stay flat
	tools/bootstrap
	cmake --preset release >/dev/null
	ninja -C build -j$(JOBS) curfew_soak
	SOAK_HOURS=$(SOAK_HOURS) tools/with-postgres build/curfew_soak

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	tools/bootstrap check
	FUZZ_SECONDS=$(FUZZ_SECONDS) tools/check fuzz

install: build ## install the program to $(DESTDIR)$(PREFIX)/bin
	install -D -m 0755 build/curfew "$(DESTDIR)$(PREFIX)/bin/curfew"

clean: ## remove everything that was built
	rm -rf build tests/compat/node_modules tests/ui/node_modules ui/node_modules ui/dist

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done
