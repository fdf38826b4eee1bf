#!/usr/bin/env bash
# deb-check.sh [DIRECTORY]: the packages of scripts/deb.sh, installed in a fresh Debian by dpkg alone. There the service is
# started as its unit says, as its user; it must be healthy, pass `threadmill verify`, keep what it has over a restart and an
# upgrade, and leave it behind when it is removed. Needs root, debootstrap and lintian; no port of this machine is used.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=$(realpath "${1:-target/deb}")
base=$packages/bookworm.tar
fail() { echo "deb-check: $*" >&2; exit 1; }
proof() { echo "proof: $1 | $2"; }

if [ -z "${THREADMILL_INSIDE:-}" ]; then
  # Made once and copied: what a package leaves in one run is not there in the next.
  if [ ! -e "$base" ]; then
    made=$(mktemp -d)
    debootstrap --variant=minbase --include=adduser,ca-certificates,init-system-helpers bookworm "$made" >&2
    tar -cf "$base.new" -C "$made" . && mv "$base.new" "$base"
    rm -rf "$made"
  fi
  # A network, mounts and processes of its own, which end with it.
  THREADMILL_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child bash "$0" "$packages"
fi

ip link set lo up
root=$(mktemp -d)
trap 'umount "$root/proc"; rm -rf --one-file-system "$root"' EXIT
tar -xf "$base" -C "$root"
mount -t proc proc "$root/proc"
mkdir "$root/packages"
cp "$packages"/threadmill*.deb "$root/packages/"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
pack() { inside DEBIAN_FRONTEND=noninteractive dpkg "$@" 2>&1; }
package=/packages/$(basename "$packages"/threadmill_*.deb) symbols=/packages/$(basename "$packages"/threadmill-dbgsym_*.deb)
state=/var/lib/threadmill etc=/etc/threadmill

lintian --fail-on error,warning "$packages"/threadmill*.deb
proof "lintian" "no error, no warning"

pack -i "$package"
modes=$(inside stat -c '%U:%G %a' $state $etc/auth-secret $etc/ops-token $etc/threadmill.toml | tr '\n' ,)
[ "$modes" = "threadmill:threadmill 700,root:threadmill 640,root:threadmill 640,root:root 644," ] || fail "modes: $modes"
[ "$(inside cat $etc/auth-secret | wc -c)" -eq 64 ] || fail "the secret is no 32 bytes"
secrets=$(inside sha256sum $etc/auth-secret $etc/ops-token)
inside threadmill config check --config $etc/threadmill.toml
[ -e "$root/usr/share/man/man1/threadmill-serve.1.gz" ] || fail "no manual"
inside bash -n /usr/share/bash-completion/completions/threadmill

# As systemd would: the unit's command, as the unit's user, with nothing else in its environment.
unit=$root/lib/systemd/system/threadmill.service
command=$(sed -n 's/^ExecStart=//p' "$unit") user=$(sed -n 's/^User=//p' "$unit")
# The container's own question, in the Debian that it is made of.
healthy=$(sed -n '/^HEALTHCHECK/,/[^\\]$/p' deploy/Dockerfile | sed -n 's/.*CMD //p')
start() {
  local begun=$EPOCHREALTIME
  # shellcheck disable=SC2086 # words of a command
  chroot --userspec="$user:$user" "$root" env -i PATH=/usr/bin:/bin sh -c "cd / && exec $command" >"$root/log" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    if inside THREADMILL_LISTEN=127.0.0.1:7430 bash -c "$healthy" 2>/dev/null; then
      ready=$(awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $begun }")
      return 0
    fi
    kill -0 $server 2>/dev/null || break
    sleep 0.05
  done
  cat "$root/log" >&2
  fail "it does not get ready"
}
stop() { kill -TERM $server && wait $server || fail "it ended with $?"; }
# What one caller wrote is there for the same caller; a token is made as any HS256 library makes it.
b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
token() {
  local body
  body=$(printf '{"alg":"HS256"}' | b64).$(printf '{"sub":"ada","tenant":"kept","exp":%s}' $(($(date +%s) + 3600)) | b64)
  printf %s "$body.$(printf %s "$body" | openssl dgst -sha256 -hmac "$(cat "$root$etc/auth-secret")" -binary | b64)"
}
api() { curl -fsS --max-time 10 -H "Authorization: Bearer $(token)" -H 'Content-Type: application/json' "http://127.0.0.1:7430$1" "${@:2}"; }

start
proof "installed by dpkg in a fresh Debian 12, started as the unit's user, healthy after" "$ready s"
inside threadmill verify --auth-secret-file $etc/auth-secret --format json >"$root/verify.json" || fail "$(cat "$root/verify.json")"
proof "threadmill verify in it" "$(grep -o '"passed": *[0-9]*' "$root/verify.json" | grep -o '[0-9]*$') checks passed"
api /v1/threads -d '{"id":"kept","title":"Kept"}' -H 'Idempotency-Key: one' >/dev/null
curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:7430/v1/threads" | grep -q 401 || fail "it believes anybody"
stop
start
api /v1/threads/kept | grep -q '"Kept"' || fail "the thread is gone"
# An upgrade: what the operator set and the secrets stay.
printf '# mine\n' >>"$root$etc/threadmill.toml"
pack -i "$package"
stop
[ "$(inside sha256sum $etc/auth-secret $etc/ops-token)" = "$secrets" ] || fail "an upgrade drew secrets anew"
grep -q '^# mine' "$root$etc/threadmill.toml" || fail "an upgrade wrote over the configuration"
start
api /v1/threads/kept | grep -q '"Kept"' || fail "the thread is gone after an upgrade"
stop
proof "a thread over a restart and an upgrade, configuration and secrets" "kept"

pack -i "$symbols"
id=$(readelf -n "$root/usr/bin/threadmill" | sed -n 's/.*Build ID: //p')
debug=$root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
# The address of our main, from the package's symbols alone.
address=$(nm "$debug" | sed -n 's/^\([0-9a-f]*\) t .*threadmill4main17h.*/0x\1/p' | head -n 1)
line=$(addr2line -e "$debug" "$address")
[[ "$line" == *crates/cli/src/main.rs:* ]] || fail "symbols say $line of main at $address"
proof "an address by the symbols of the dbgsym package" "${line##*/threadmill/}"

said=$(pack -r threadmill-dbgsym threadmill)
[[ "$said" == *"the library stays in $state"* ]] || fail "removal does not say what stays: $said"
[ -e "$root$state/data/threadmill.db" ] || fail "removal deleted the library"
pack -i "$package"
start
api /v1/threads/kept | grep -q '"Kept"' || fail "the thread is gone after a removal and a new installation"
stop
pack -P threadmill
for left in $state $etc /usr/bin/threadmill; do [ ! -e "$root$left" ] || fail "$left is there after a purge"; done
proof "removed" "the library stays, and is said to; purged, nothing stays"
