#!/usr/bin/env bash
# Checks what is in deploy/ with the tools that read it, as far as they are there, and says which were not.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
have() { command -v "$1" >/dev/null || { missing+=("$1"); return 1; }; }

if have systemd-analyze; then
  # The binary need not be installed for the rest of the unit to be right.
  unit=$(mktemp -d)/threadmill.service
  sed 's#/usr/local/bin/threadmill#/bin/true#' deploy/threadmill.service > "$unit"
  systemd-analyze verify "$unit"
  systemd-analyze security --offline=true --threshold=20 "$unit" | tail -n 1
fi
if have promtool; then
  promtool check rules deploy/alerts.yaml
  promtool test rules deploy/alerts.test.yaml
fi
if have caddy; then
  caddy validate --config deploy/Caddyfile --adapter caddyfile 2>/dev/null
fi
if docker compose version >/dev/null 2>&1 || { missing+=("docker compose"); false; }; then
  POSTGRES_PASSWORD=p THREADMILL_AUTH_SECRET=s docker compose -f deploy/compose.yaml config --quiet
fi
if command -v helm >/dev/null; then
  helm lint --strict deploy/helm/threadmill
  helm template threadmill deploy/helm/threadmill > /dev/null
elif python3 -c 'import helm_python' 2>/dev/null; then
  # Helm itself as a library: pip install helm-python-sdk
  python3 - <<'PYTHON'
import sys, helm_python
report = helm_python.lint("deploy/helm/threadmill", strict=True)
helm_python.Chart.load("deploy/helm/threadmill").render({}, name="threadmill")
print(f"helm lint: {len(report['errors'])} errors")
sys.exit(bool(report["errors"]))
PYTHON
else
  missing+=(helm)
fi
[ ${#missing[@]} -eq 0 ] || echo "not checked, since they are not installed: $(IFS=,; echo "${missing[*]}")"
