#!/usr/bin/env bash
# Runs the pages' checks against a fresh server: scripts/e2e.sh BINARY. All of them in Chromium, then the core of them in
# Chromium and Firefox, directly and through a delay of 60 ms each way. E2E=core runs the core alone, E2E=page the chat
# page's others, E2E=ops those of the operators' page, E2E=use-chat a stock `useChat` of the AI SDK.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
# A page of yesterday fails in places that nobody understands.
page=apps/chat/dist/index.html
[ -e "$page" ] || { echo "The page is not built: npm run build" >&2; exit 1; }
newer=$(find apps/chat/{src,index.html,ops.html,vite.config.ts} packages/*/src packages/client/wasm apps/chat/wasm -newer "$page" -type f -print -quit)
[ -z "$newer" ] || { echo "The page is older than $newer: npm run build" >&2; exit 1; }
data=$(mktemp -d)
log=$data/serve.log
server='' model=''
cleanup() { kill $server $model 2>/dev/null || true; wait $server $model 2>/dev/null || true; rm -rf "$data"; }
trap cleanup EXIT
node apps/chat/e2e/model.mjs >"$data/model" &
model=$!
for _ in $(seq 300); do
  [ -s "$data/model" ] && break
  kill -0 "$model"
  read -rt 0.1 <> <(:) || true
done
cat >"$data/threadmill.toml" <<TOML
[[providers]]
kind = 'replay'
name = 'replay'
[[providers]]
kind = 'openai'
name = 'scripted'
base_url = '$(cat "$data/model")'
model = 'script'
TOML
"$binary" serve --config "$data/threadmill.toml" --listen 127.0.0.1:0 --data "$data/store" >"$log" 2>&1 &
server=$!
for _ in $(seq 300); do
  address=$(sed -n 's/^threadmill: chat at \(http:[^ ]*\) .*/\1/p' "$log")
  [ -n "$address" ] && break
  kill -0 "$server" || { cat "$log" >&2; exit 1; }
  read -rt 0.2 <> <(:) || true
done
[ -n "$address" ] || { echo "the server did not start:" >&2; cat "$log" >&2; exit 1; }
node -e 'fetch(process.argv[1]).then(answer => answer.text()).then(text => process.stdout.write(text))' "$address/" |
  cmp -s - "$page" || { echo "$binary has another page than $page: build it again" >&2; exit 1; }
if [ -n "${THREADMILL_REAL_DATA:-}" ]; then
  "$binary" import "$THREADMILL_REAL_DATA"/*.jsonl --url "$address"
else
  echo "no real conversations (THREADMILL_REAL_DATA is not set): the branches walked are those the checks make"
fi
export THREADMILL_URL=$address THREADMILL_BINARY=$(realpath "$binary")
# The core is run even if something else fails: what only Firefox or a slow network shows is worth knowing then too.
failed=0
runs() { [ "${E2E:-$1}" = "$1" ]; }
runs page && { npm run --silent e2e || failed=1; }
runs ops && { npm run --silent e2e:ops || failed=1; }
runs core && { npm run --silent e2e:core || failed=1; }
runs use-chat && { npm run --silent e2e:use-chat || failed=1; }
exit $failed
