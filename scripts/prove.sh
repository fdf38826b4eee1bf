#!/usr/bin/env bash
# `make prove`: every bar at full size, one table, kept in docs/proof.md. Takes about twenty minutes on two cores.
#
# Tests and benches print what they measured as lines `proof: WHAT | VALUE`; this gathers them. A step that fails
# fails the run, but the others still run, so that the table is whole. `scripts/prove.sh windows runs` runs only the
# steps named and keeps the rows of the others, each with the commit it was measured at.
set -uo pipefail
cd "$(dirname "$0")/.."

out=target/prove
binary=target/release/threadmill
mkdir -p "$out"
failed=0
only=" $* "
commit=$(git rev-parse --short HEAD)

row() { echo "| $1 | $2 | $3 |" >>"$rows"; }

# bar NUMBER NAME COMMAND...: runs it, keeps its log, gathers its lines.
bar() {
  local number=$1 name=$2 begun=$SECONDS verdict=held
  shift 2
  [ "$only" = "  " ] || [[ "$only" == *" $name "* ]] || return 0
  rows=$out/$number-$name.rows
  : >"$rows"
  printf '== bar %s: %s\n' "$number" "$name"
  if ! "$@" >"$out/$number-$name.log" 2>&1; then
    verdict=FAILED
    failed=1
    tail -n 25 "$out/$number-$name.log"
  fi
  row "$number" "**$name**" "$verdict, $((SECONDS - begun)) s, at $commit"
  while IFS='|' read -r what value; do
    row "$number" "$(sed 's/^ *//; s/ *$//' <<<"$what")" "$(sed 's/^ *//; s/ *$//' <<<"$value")"
  done < <(sed -n 's/^proof: //p' "$out/$number-$name.log")
  printf '   %s in %s s\n' "$verdict" $((SECONDS - begun))
}

serve() { # serve DATA [ARGUMENTS]: starts a server on a free port; sets $url and $server
  local data=$1 log=$out/serve.log
  shift
  "$binary" serve --listen 127.0.0.1:0 --data "$data" --no-sample "$@" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    url=$(sed -n 's/^threadmill: chat at \(http:[^ ]*\) .*/\1/p' "$log")
    [ -n "$url" ] && return 0
    kill -0 "$server" || return 1
    sleep 0.1
  done
  return 1
}

cold_build() {
  local clone
  clone=$(mktemp -d)
  git clone --quiet . "$clone/threadmill" || return 1
  local begun=$SECONDS
  make -C "$clone/threadmill" build || return 1
  echo "proof: cold build, caches of the package managers warm | $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s"
  rm -rf "$clone"
}

windows() {
  local data
  data=$(mktemp -d)
  "$binary" bench seed --data "$data" --messages 100 || return 1
  local begun=$SECONDS
  "$binary" bench seed --data "$data" --messages 1000000 || return 1
  echo "proof: filling a thread of 1,000,000 | $((SECONDS - begun)) s"
  "$binary" bench seed --data "$data" --messages 1000 --nested 10000 --id bench-nested || return 1
  # A constant body is sent more often than one user may ask.
  printf '[limits]\nrequests_per_user = 1000000\nrequests_per_tenant = 1000000\n' >"$data/threadmill.toml"
  serve "$data" --config "$data/threadmill.toml" || return 1
  "$binary" bench window --url "$url" --thread bench-100 --thread bench-1000000 --thread bench-nested \
    --json | tee "$out/windows.json"
  local status=${PIPESTATUS[0]}
  kill "$server" && wait "$server"
  python3 - "$out/windows.json" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    share = f", {r['ofControl']:.0%} of the constant" if "ofControl" in r else ""
    print(f"proof: {r['what'].strip()} | {r['perSecond']:.0f}/s, p50 {r['p50Ms']:.2f} ms, p99 {r['p99Ms']:.2f} ms{share}")
PY
  rm -rf "$data"
  return "$status"
}

appends() {
  local data
  data=$(mktemp -d)
  serve "$data" || return 1
  "$binary" bench append --url "$url" --clients 50 --seconds 10 --json >"$out/append.json"
  local status=$?
  kill "$server" && wait "$server"
  python3 - "$out/append.json" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    share = f", {r['ofControl']:.0%} of the control" if "ofControl" in r else ""
    print(f"proof: {r['what'].strip()} | {r['perSecond']:.0f}/s, p50 {r['p50Ms']:.2f} ms, p99 {r['p99Ms']:.2f} ms{share}")
PY
  rm -rf "$data"
  return "$status"
}

# Those start what they measure.
alone() {
  "$binary" bench "$@" --json >"$out/alone.json" || return 1
  python3 - "$out/alone.json" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    if "kibEach" in r:
        print(f"proof: {r['sockets']} sockets {r['what']} | {r['kibEach']} KiB each")
        continue
    words = f"{r['perSecond']:.0f}/s, p50 {r['p50Ms']:.2f} ms, p99 {r['p99Ms']:.2f} ms"
    words += f", {r['cpuMicros']:.1f} us of processor each" if "cpuMicros" in r else ""
    words += f", {r['ofControl']:.0%} of the control" if "ofControl" in r else ""
    words += "".join(f", {what} {times:.2f} x" for what, times in r.get("ratio", {}).items())
    print(f"proof: {r['what'].strip()} | {words}")
PY
}

resumes() {
  local data
  data=$(mktemp -d)
  serve "$data" || return 1
  alone resume --url "$url"
  local status=$?
  kill "$server" && wait "$server"
  rm -rf "$data"
  return "$status"
}

page() {
  THREADMILL_FULL=1 bash scripts/e2e.sh "$binary" | sed -E 's/^ok +(.*) \([0-9]+ ms\): (.*)/proof: \1 | \2/'
  return "${PIPESTATUS[0]}"
}

# The browser client's bars; each starts servers of its own.
client() {
  THREADMILL_FULL=1 bash scripts/bars.sh "$binary" "$1" | sed -E 's/^ok +(.*) \([0-9]+ ms\): (.*)/proof: \1 | \2/'
  return "${PIPESTATUS[0]}"
}

# The tabs of a browser against the model of a server, and the weight of what a browser loads.
tab_model() {
  PROPTEST_CASES=10000 cargo test --release --locked --package threadmill-core --test it tabs || return 1
  echo "proof: cases of four tabs, a channel that loses, doubles and reorders, crashes and hand-overs | 10,000"
}

weights() { npm run --silent size | sed -E 's/^(ok|FAIL) +([^:]*): (.*)/proof: \2 | \3/'; return "${PIPESTATUS[0]}"; }

tests() { THREADMILL_FULL=1 cargo test --release --locked --package "$1" --test it -- --nocapture "${@:2}"; }

# Rollouts over simulated users, in virtual time.
rollouts() {
  THREADMILL_FULL=1 cargo test --release --locked --package threadmill-engine --lib simulation -- --nocapture
}
# Healthy deployments are verified a hundred times under load, then broken in every way.
verified() { THREADMILL_VERIFY_TIMES=100 tests threadmill-cli verify:: --test-threads=1; }

# A package of the binary that is there, in a Debian made for it; wants root.
packages() {
  local missing=()
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  command -v lintian >/dev/null || missing+=(lintian)
  [ ${#missing[@]} -eq 0 ] || apt-get install -y -qq --no-install-recommends "${missing[@]}" || return 1
  bash scripts/split-debug.sh "$binary" && bash scripts/deb.sh && bash scripts/deb-check.sh
}

# Clients that come and go; what the server holds afterwards.
soak() {
  "$binary" bench soak --json >"$out/soak.json"
  local status=$?
  python3 - "$out/soak.json" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    if "visits" in r:
        print(f"proof: {r['clients']} clients for ten minutes | {r['visits']} visits, {r['answers']} answers, {r['stopped']} stopped")
    else:
        print(f"proof: {r['what']} after the warming-up | mean {r['mean']}, slope {r['aMinute']} a minute "
              f"({r['least']} to {r['most']}), may be {r['bound']}")
PY
  return "$status"
}

# What counting costs, against a build that counts nothing.
overhead() {
  command -v valgrind >/dev/null || apt-get install -y -qq --no-install-recommends valgrind || return 1
  cargo build --release --locked --package threadmill-cli || return 1
  cp "$binary" "$out/counted"
  cargo build --release --locked --package threadmill-cli --features uncounted || return 1
  cp "$binary" "$out/uncounted"
  python3 scripts/overhead.py "$out/counted" "$out/uncounted"
}

bar 1 build cold_build
bar ops package packages
bar 2 import tests threadmill-cli trees
bar 3 steps tests threadmill-store-sqlite cost
bar 3 windows windows
bar 4 durability tests threadmill-cli durability
bar 5 page page
bar 6 refusals tests threadmill-cli refusals
bar 7 runs tests threadmill-cli load
bar edge peers tests threadmill-cli hostile
bar 7 appends appends
bar 7 direct alone append --direct
bar 8 fanout alone fanout
bar 8 resume resumes
bar 8 sockets alone sockets
for name in renders tabs times engines memory transports offline; do bar client "$name" client "$name"; done
bar client faults bash scripts/bars.sh "$binary" faults
bar client model tab_model
bar hot redis tests threadmill-store-redis
bar ops verify verified
bar ops backup tests threadmill-cli backup
bar ops traces bash scripts/traces.sh "$binary"
bar ops soak soak
bar ops upgrade bash scripts/upgrade.sh
bar nodes locks tests threadmill-cli locks
bar nodes locks-postgres tests threadmill-store-postgres locks
bar nodes migration tests threadmill-cli migrate
bar nodes outages tests threadmill-cli faults:: --test-threads=1
bar nodes cost tests threadmill-cli nodes::cost --ignored
bar client weight weights
bar ops rollouts rollouts
bar ops kill-switch tests threadmill-cli nodes::rollout
bar streams suite node scripts/durable-streams/run.mjs "$binary"
bar streams nodes tests threadmill-cli nodes::streams --include-ignored --test-threads=1
bar streams kills tests threadmill-cli streams:: --skip nodes::
bar streams recipes node scripts/recipes/run.mjs "$binary"
bar streams consumers bash scripts/consumers.sh "$binary"
bar ops overhead overhead
# The tests were built with bugs that can be planted; what is left behind must not have them.
make --no-print-directory build >"$out/build.log" 2>&1 || failed=1

{
  echo "# Proof"
  echo
  echo "Made by \`make prove\`, last on $(date -u +%Y-%m-%d), on $(nproc) cores of"
  echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(free -g | awk '/^Mem:/{print $2}') GiB, $(uname -sr)."
  echo "Times are of this machine, with client and server sharing its cores. The bars are those of the issue that asked"
  echo "for this release; ratios within one run say more than times."
  echo
  echo "| bar | what | measured |"
  echo "|---|---|---|"
  cat "$out"/*.rows
} >docs/proof.md
cat docs/proof.md
exit "$failed"
