#!/usr/bin/env bash
# split-debug.sh BINARY: takes lines and names out of a binary into BINARY.debug and links the two by build id and name,
# so that what is installed is small and debuggers, profilers and our own traces of panics find the rest if it is there.
# Does nothing to a binary that has none; cargo puts a whole one back whenever it builds.
set -euo pipefail
binary=$1
readelf -S --wide "$binary" | grep -q '\.debug_line' || exit 0
readelf -n "$binary" | grep -q 'Build ID' || { echo "$binary has no build id: link with --build-id" >&2; exit 1; }
before=$(stat -c %s "$binary")
objcopy --only-keep-debug --compress-debug-sections "$binary" "$binary.debug"
# Into another file: the one that is there is another name of what cargo keeps.
objcopy --strip-all --add-gnu-debuglink="$binary.debug" "$binary" "$binary.stripped"
mv "$binary.stripped" "$binary"
mib() { awk "BEGIN { printf \"%.1f\", $1 / 1048576 }"; }
echo "proof: binary with its debug symbols, without, the symbols alone |" \
  "$(mib "$before") MiB, $(mib "$(stat -c %s "$binary")") MiB, $(mib "$(stat -c %s "$binary.debug")") MiB"
