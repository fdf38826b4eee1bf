#!/usr/bin/env bash
# Runs on a real node whose traces go to a receiver that knows nothing of Threadmill: OpenTelemetry's own protobuf definitions
# (PyPI: opentelemetry-proto) read what comes, and check it. scripts/traces.sh BINARY. Prints what was measured as
# `proof: WHAT | VALUE`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x "${1:-}" ] || { echo "usage: scripts/traces.sh BINARY" >&2; exit 1; }

tools=target/otlp
if ! PYTHONPATH=$tools python3 -c 'import opentelemetry.proto.collector.trace.v1.trace_service_pb2' 2>/dev/null; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$tools" \
    'opentelemetry-proto==1.45.*'
fi
PYTHONPATH=$tools exec python3 scripts/traces.py "$1"
