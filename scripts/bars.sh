#!/usr/bin/env bash
# The bars of the browser client in Chromium: scripts/bars.sh BINARY [BAR...]. With `faults` for BAR, plants one fault
# after the other and sees that the bar notices; names of faults may follow.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
shift
script=run
if [ "${1:-}" = faults ]; then
  script=faults
  shift
fi
THREADMILL_BINARY=$(realpath "$binary") exec node "apps/chat/e2e/bars/$script.mjs" "$@"
