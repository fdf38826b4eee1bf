#!/usr/bin/env bash
# deb.sh [DIRECTORY]: Debian packages of target/release/threadmill and of its debug symbols, into target/deb or DIRECTORY.
# `make deb` builds the binary before. The same sources and tools give the same bytes: times are those of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
out=${1:-target/deb}
binary=${THREADMILL_BINARY:-target/release/threadmill}
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
maintainer="Threadmill maintainers <maintainers@users.noreply.github.com>"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
bash scripts/split-debug.sh "$binary"
[ -e "$binary.debug" ] || { echo "there is no $binary.debug: build the binary anew" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/threadmill doc=$work/threadmill/usr/share/doc/threadmill
packed() { gzip -9n >"$1"; }

install -Dm 755 "$binary" "$root/usr/bin/threadmill"
install -Dm 644 deploy/debian/threadmill.toml "$root/etc/threadmill/threadmill.toml"
# The unit of deploy/ with what a package has: a user of its own, whose files stay readable to root's tools by its name.
install -d "$root/lib/systemd/system"
sed -e '/^#/d' -e 's#/usr/local/bin/#/usr/bin/#' -e 's/^DynamicUser=yes/User=threadmill\nGroup=threadmill/' \
  -e 's#^Documentation=.*#Documentation=man:threadmill(1) man:threadmill-serve(1)#' \
  -e 's# --data /var/lib/threadmill/data##' deploy/threadmill.service >"$root/lib/systemd/system/threadmill.service"
"$binary" man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*
completions=$root/usr/share
install -d "$completions/bash-completion/completions" "$completions/zsh/vendor-completions" "$completions/fish/vendor_completions.d"
"$binary" completions bash >"$completions/bash-completion/completions/threadmill"
"$binary" completions zsh >"$completions/zsh/vendor-completions/_threadmill"
"$binary" completions fish >"$completions/fish/vendor_completions.d/threadmill.fish"
install -Dm 644 deploy/debian/copyright "$doc/copyright"
packed "$doc/NEWS.gz" <CHANGELOG.md
python3 scripts/notices.py | packed "$doc/third-party.gz"
printf 'threadmill (%s) unstable; urgency=medium\n\n  * Built from commit %s; what changed for users is in NEWS.gz.\n\n -- %s  %s\n' \
  "$version" "$(git rev-parse --short=12 HEAD)" "$maintainer" "$(date -uRd "@$SOURCE_DATE_EPOCH")" | packed "$doc/changelog.gz"

control() { # control ROOT NAME FIELDS...: writes DEBIAN/control with what every package says
  install -d "$1/DEBIAN"
  printf '%s\n' "Package: $2" "Version: $version" "Architecture: $architecture" "Maintainer: $maintainer" \
    "Installed-Size: $(find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int(sum / 1024) + 1 }')" "${@:3}" >"$1/DEBIAN/control"
  (cd "$1" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$1/DEBIAN/md5sums"
}
install -d "$work/debian" && printf 'Source: threadmill\n\nPackage: threadmill\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O "$root/usr/bin/threadmill" 2>/dev/null | sed 's/^shlibs:Depends=//')
control "$root" threadmill "Depends: $libraries, adduser, init-system-helpers (>= 1.54~)" "Recommends: ca-certificates" \
  "Section: net" "Priority: optional" "Homepage: https://github.com/threadmill/threadmill" \
  "Description: self-hosted sync engine for AI chat" \
  " Keeps the conversations of people with language models: streams answers that" \
  " survive reloads, lost connections and crashes, to any number of tabs and" \
  " devices. One binary with its page, on SQLite, or on PostgreSQL for several" \
  " nodes."
printf '/etc/threadmill/threadmill.toml\n' >"$root/DEBIAN/conffiles"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"

id=$(readelf -n "$binary" | sed -n 's/.*Build ID: //p')
symbols=$work/symbols
install -Dm 644 "$binary.debug" "$symbols/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"
install -d "$symbols/usr/share/doc" && ln -s threadmill "$symbols/usr/share/doc/threadmill-dbgsym"
control "$symbols" threadmill-dbgsym "Depends: threadmill (= $version)" "Section: debug" "Priority: optional" \
  "Auto-Built-Package: debug-symbols" "Build-Ids: $id" "Description: debug symbols for threadmill"

mkdir -p "$out"
for package in "$root" "$symbols"; do
  find "$package" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz --build "$package" "$out" >/dev/null
done
du -h --apparent-size "$out"/threadmill*_"${version}_$architecture.deb" | sed -E 's#^([^\t]*)\t.*/(threadmill[a-z-]*)_.*#proof: package \2 | \1#'
