#!/bin/sh
# Puts promtool, which checks and tests the rules of Prometheus, into .ehub/bin, out of Debian's or
# Ubuntu's package. It is unpacked, not installed: the package would start a server. Does nothing where
# promtool is already there.
#
# usage: scripts/install-promtool.sh
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bin_dir="$root/.ehub/bin"
PATH="$bin_dir:$PATH"

fail() { printf 'install-promtool: %s\n' "$*" >&2; exit 1; }

if command -v promtool >/dev/null 2>&1; then
    exit 0
fi
command -v apt-get >/dev/null 2>&1 || fail "this machine has no apt-get. Install promtool, which comes \
with Prometheus, by its own package manager, or put it into $bin_dir."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# An apt with lists of its own needs no root and leaves those of the system as they are.
mkdir -p lists/partial cache/archives/partial
private_apt() {
    apt-get -qq -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@"
}
private_apt update
private_apt download prometheus || fail "no archive of this machine has Prometheus"
dpkg-deb -x prometheus_*.deb root
mkdir -p "$bin_dir"
install -m 0755 root/usr/bin/promtool "$bin_dir/promtool"
printf 'promtool is in %s\n' "$bin_dir"
