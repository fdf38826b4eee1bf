#!/usr/bin/env bash
# `make test`: installs what the tests need and runs them all, small sizes, real servers and a real browser.
# Apps that are made afresh of the packed packages, and the recipes, take minutes: `make prove` has them.
set -euo pipefail
cd "$(dirname "$0")/.."

# Everything that is said is in target/test.log, too; what failed is said once more at the end, where it is found.
if [ -z "${THREADMILL_TEST_LOG:-}" ]; then
  export THREADMILL_TEST_LOG=target/test.log
  mkdir -p target
  status=0
  bash scripts/test.sh 2>&1 | tee "$THREADMILL_TEST_LOG" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '\n== what failed (all of it: %s)\n' "$THREADMILL_TEST_LOG"
    # The last lines, too: a step that ends everything has said why.
    { sed 's/\x1b\[[0-9;]*m//g' "$THREADMILL_TEST_LOG" | grep -aE '^ *FAIL|FAILED|panicked at|^error|AssertionError|Error: ' |
      awk '!seen[$0]++' | head -30; tail -8 "$THREADMILL_TEST_LOG"; } | cut -c1-240
  fi
  exit "$status"
fi

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

# What can be tried though something before it failed, so that one run shows all that is wrong.
failed=()
try() { "$@" || failed+=("$*"); }

# Valkey is in Debian from 13 on. Where it is not, and VALKEY_SERVER names none, its tests say so and do nothing.
wants_valkey() {
  [ -z "${VALKEY_SERVER:-}" ] && ! command -v valkey-server >/dev/null &&
    [ "$(id -u)" -eq 0 ] && command -v apt-cache >/dev/null && apt-cache show valkey-server >/dev/null 2>&1
}

install_packages() {
  local missing=()
  command -v chromium >/dev/null || missing+=(chromium)
  command -v firefox-esr >/dev/null || missing+=(firefox-esr)
  command -v strace >/dev/null || missing+=(strace)
  command -v nginx >/dev/null || missing+=(nginx-light)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v curl >/dev/null || missing+=(curl)
  command -v jq >/dev/null || missing+=(jq)
  command -v redis-server >/dev/null || missing+=(redis-server)
  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
  wants_valkey && missing+=(valkey-server)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need ${missing[*]}: install them with your package manager and run make test again." >&2
    exit 1
  fi
  apt-get update -qq
  # What is offered was not known before if the lists were empty.
  [[ " ${missing[*]} " != *" valkey-server "* ]] && wants_valkey && missing+=(valkey-server)
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

step "tools: chromium, firefox, strace, nginx, openssl, curl, jq, redis, valkey, postgresql, npm packages, the wasm target"
install_packages
make --no-print-directory node_modules/.installed
rustup target list --installed 2>/dev/null | grep -q wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown

step "format, lints, file rules"
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
bash scripts/deny.sh

step "sample, wasm, page"
python3 scripts/sample.py
cargo xtask wasm
npm run --silent build
cargo xtask tidy
npm run --silent check
npm run --silent size

step "Rust tests"
if [ -n "${THREADMILL_REAL_DATA:-}" ]; then
  echo "real conversations: $THREADMILL_REAL_DATA"
else
  echo "real conversations: none (THREADMILL_REAL_DATA is not set); the fixtures in the repository stand in"
fi
# One command for the workspace, so that no crate is compiled a second time with other features; it leaves the binary
# too. `outages` is the module of servers that hang, fail over and hand slots on, which take a minute: `make prove`.
try cargo test --workspace --locked --no-fail-fast -- --skip outages::
[ -x target/debug/threadmill ] || exit 1

THREADMILL_BINARY=$PWD/target/debug/threadmill
export THREADMILL_BINARY

step "TypeScript tests; beside them, since all of these wait most of their time: the public suite of Durable Streams, Python"
beside() {
  node scripts/durable-streams/run.mjs "$THREADMILL_BINARY" && PYTHONPATH=python python3 -m unittest discover python/tests
}
beside >target/beside.log 2>&1 &
others=$!
try npm run --silent test
wait "$others" || failed+=("the public suite of Durable Streams, or the Python tests")
cat target/beside.log

step "the page in Chromium, and its core in Chromium and Firefox, near and far"
try bash scripts/e2e.sh "$THREADMILL_BINARY"

step "the browser client's bars in Chromium, small"
try bash scripts/bars.sh "$THREADMILL_BINARY"

if [ ${#failed[@]} -ne 0 ]; then
  step "failed"
  printf '%s\n' "${failed[@]}"
  exit 1
fi
step "done"
