#!/usr/bin/env bash
# Installs the packed packages as strangers do, in a stock Vite and a stock Next.js app and a page without a bundler, and
# opens them in Chromium: scripts/consumers.sh BINARY. The packages must have been built; what the pages show are the
# READMEs' own examples.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x "${1:-}" ] || { echo "usage: scripts/consumers.sh BINARY" >&2; exit 1; }
[ -f packages/client/dist/inline.js ] && [ -f packages/react/dist/index.js ] ||
  { echo "The packages are not built: cargo xtask wasm && npm run build" >&2; exit 1; }
exec node scripts/consumers/run.mjs "$(realpath "$1")"
