#!/usr/bin/env bash
# upgrade.sh: an upgrade keeps everything, and so does the way back; nodes of two releases work side by side meanwhile.
#
# Three builds: the last release, this tree, and this tree with a migration that the next release might have (the feature
# `next-schema` of the stores, which gives every table another column). scripts/upgrade.py says what is done with them.
# Debug builds: what is looked at is what they do to what is stored, and the times are of no interest.
set -euo pipefail
cd "$(dirname "$0")/.."
# The state that is released as 0.1.0; the tag names it where there is one. From there the way up alone is promised: its
# binary knows nothing of layouts that a later one expanded.
released=$(git rev-parse --verify --quiet "v0.1.0^{commit}" || echo 7c6d750e966c06f8814f2ab98771ee0594fa7568)
work=target/upgrade
cargo=${CARGO:-cargo}
mkdir -p "$work/source" "$work/bin"

# Builds that are there already, by these three names.
if [ -n "${THREADMILL_BUILDS:-}" ]; then
  exec python3 scripts/upgrade.py "$THREADMILL_BUILDS"
fi

build() { # build NAME DIRECTORY TARGET [ARGUMENTS]
  (cd "$2" && CARGO_TARGET_DIR=$3 "$cargo" build --quiet --locked --package threadmill-cli "${@:4}")
  cp --remove-destination "$3/debug/threadmill" "$work/bin/$1"
}

# In a folder of its own: cargo takes the crates of two checkouts for the same ones, and would leave one's for the other.
if [ "$(cat "$work/source/.commit" 2>/dev/null)" != "$released" ] || [ ! -e "$work/bin/released" ]; then
  rm -rf "$work/source" && mkdir -p "$work/source"
  git archive "$released" | tar -x -C "$work/source"
  build released "$work/source" "$PWD/$work/target"
  echo "$released" >"$work/source/.commit"
fi
build next . "$PWD/target" --features next-schema
build this . "$PWD/target"

python3 scripts/upgrade.py "$work/bin"
