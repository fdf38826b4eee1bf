#!/usr/bin/env bash
# Runs the page's checks in Chromium against a fresh server: scripts/e2e.sh BINARY
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
data=$(mktemp -d)
log=$data/serve.log
cleanup() { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"; }
"$binary" serve --listen 127.0.0.1:0 --data "$data/store" >"$log" 2>&1 &
server=$!
trap cleanup EXIT
for _ in $(seq 300); do
  address=$(sed -n 's/^threadmill: chat at \(http:[^ ]*\) .*/\1/p' "$log")
  [ -n "$address" ] && break
  kill -0 "$server" || { cat "$log" >&2; exit 1; }
  read -rt 0.2 <> <(:) || true
done
[ -n "$address" ] || { echo "the server did not start:" >&2; cat "$log" >&2; exit 1; }
if [ -n "${THREADMILL_REAL_DATA:-}" ]; then
  "$binary" import "$THREADMILL_REAL_DATA"/*.jsonl --url "$address"
else
  echo "no real conversations (THREADMILL_REAL_DATA is not set): the branches walked are those the checks make"
fi
THREADMILL_URL=$address npm run --silent e2e
