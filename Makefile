# make run    builds all and serves chat at http://127.0.0.1:7430 with data in ./data
# make build  leaves the binary at target/release/threadmill
# make test   installs what tests need and runs them all, small sizes
# make prove  runs the bars at full size and prints one table; docs/proof.md keeps the last
# make deb    leaves Debian packages of the binary and of its debug symbols in target/deb
# make check  formats, lints and checks types, without running anything

SHELL := /bin/bash
.DEFAULT_GOAL := build
CARGO := cargo
BINARY := target/release/threadmill

.PHONY: run build deb page wasm sample test prove check tools clean

run: build
	$(BINARY) serve --listen 127.0.0.1:7430 --data ./data

build: tools page sample
	$(CARGO) build --release --locked --package threadmill-cli
	@bash scripts/split-debug.sh $(BINARY)

deb: build
	bash scripts/deb.sh

# One clear sentence for each tool that is not there.
tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs and run make again."; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler is missing: install gcc or clang (Debian: apt-get install build-essential)."; exit 1; }
	@command -v node >/dev/null || { echo "Node.js 20 or later is missing: install it from https://nodejs.org."; exit 1; }
	@command -v npm >/dev/null || { echo "npm is missing: it comes with Node.js (Debian: apt-get install npm)."; exit 1; }
	@command -v python3 >/dev/null || { echo "Python 3 is missing: install it (Debian: apt-get install python3 python3-pip)."; exit 1; }

node_modules/.installed: package-lock.json package.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

wasm: node_modules/.installed
	$(CARGO) xtask wasm

page: wasm
	npm run --silent build

sample:
	python3 scripts/sample.py

check: tools node_modules/.installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	bash scripts/deny.sh
	$(CARGO) xtask tidy
	npm run --silent check

test: tools
	bash scripts/test.sh

prove: build
	bash scripts/prove.sh

clean:
	$(CARGO) clean
	rm -rf node_modules packages/*/node_modules apps/*/node_modules packages/*/dist apps/*/dist packages/client/wasm apps/chat/wasm
