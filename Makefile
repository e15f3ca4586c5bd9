# SPDX-License-Identifier: Apache-2.0

# Everything that is done to this repository by command. A bare `make` prints the list.

SHELL := /bin/bash
.DEFAULT_GOAL := help

LISTEN    ?= 127.0.0.1:8080
DATA      ?= ./data
IRC       ?=
SEED      ?=
FUZZTIME  ?= 10s
SEEDS     ?= 1000
FROM      ?= 1
COUNT     ?= 6
BENCH     ?=
PKG       ?= ./...
FOR       ?= 30m

.PHONY: help build run test race check generate bench curves replay mutants soak sim fuzz model microbench clean

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build ./tidemark
	go build -o tidemark ./cmd/tidemark

run: build ## build and serve on LISTEN (127.0.0.1:8080) with the data directory DATA (./data)
	./tidemark serve --listen $(LISTEN) --data $(DATA)

test: ## run every test (what CI runs); fetches what it needs
	go test -timeout 20m $(PKG)

race: ## run every test under the race detector (slow)
	go test -race -timeout 40m $(PKG)

check: ## format, vet, staticcheck, known vulnerabilities, generated code and go.mod current
	@tools/check.sh

generate: node_modules ## rewrite the generated code from proto/
	node_modules/.bin/buf generate
	node_modules/.bin/buf build --as-file-descriptor-set -o api/tidemark.binpb

bench: build ## measure every aim three times, in WITHIN (15m), and rewrite the tables of docs/performance.md; IRC=directory of logs
	./tidemark bench aims --within $(or $(WITHIN),15m) $(if $(IRC),--irc $(IRC)) --update docs/performance.md

curves: build ## run every benchmark at the sizes of the aims (half an hour or more) and draw docs/curves; IRC=directory of logs
	@mkdir -p docs/curves
	./tidemark bench all --full --json $(if $(IRC),--irc $(IRC)) > docs/curves/runs.jsonl.new; missed=$$?; \
	mv docs/curves/runs.jsonl.new docs/curves/runs.jsonl; \
	./tidemark bench curves docs/curves/runs.jsonl --to docs/curves --update docs/performance.md && exit $$missed

replay: ## replay IRC logs with kill -9 of the server; IRC=directory of logs, SEED=number to repeat a run
	TIDEMARK_REPLAY=full TIDEMARK_REPLAY_IRC=$(IRC) TIDEMARK_REPLAY_SEED=$(SEED) go test -count=1 -v -timeout 30m -run '^TestReplayUnderFire$$' ./bench/replay

soak: ## let real processes, networks, disks and clocks break for FOR (30m) and hold the server to its promises; SEED=number to repeat a run
	TIDEMARK_SOAK=$(FOR) TIDEMARK_SOAK_SEED=$(SEED) go test -count=1 -v -timeout 24h -run '^TestSoak$$' ./soak

sim: build ## run SEEDS (1000) simulated worlds from FROM (1) on; see docs/simulator.md
	./tidemark sim --seeds $(SEEDS) --from $(FROM)

mutants: ## build 52 faults into the code, one at a time, and show that the simulator finds each; rewrites docs/mutants.md
	go run ./sim/mutants -seeds 300 -update docs/mutants.md

fuzz: ## run every fuzz target for FUZZTIME (10s)
	tools/fuzz.sh $(FUZZTIME)

model: ## check the model of the dirty set and the checkpoints with spin, and that it can fail (docs/model)
	tools/model.sh

microbench: ## run the micro-benchmarks of a message's path COUNT (6) times and compare with docs/microbench.txt; SAVE=yes saves them there; BENCH, PKG choose
	@COUNT=$(COUNT) BENCH='$(BENCH)' PKG='$(if $(filter-out ./...,$(PKG)),$(PKG))' tools/microbench.sh

clean: ## remove what was built (never data)
	rm -f tidemark

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch node_modules
