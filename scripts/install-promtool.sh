#!/bin/sh
# Puts promtool, which checks and tests the rules of Prometheus, into .ehub/bin, and amtool, which
# checks the routes of Alertmanager, out of Debian's or Ubuntu's packages. They are unpacked, not
# installed: the packages would start servers. Does nothing where both are already there, and fails
# only if promtool cannot be had.
#
# usage: scripts/install-promtool.sh
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bin_dir="$root/.ehub/bin"
PATH="$bin_dir:$PATH"

say() { printf 'install-promtool: %s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

if have promtool && have amtool; then
    exit 0
fi
if ! have apt-get; then
    say "this machine has no apt-get. Install promtool and amtool, which come with Prometheus and \
Alertmanager, by its own package manager, or put them into $bin_dir."
    have promtool || exit 1
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# An apt with lists of its own needs no root and leaves those of the system as they are.
mkdir -p lists/partial cache/archives/partial
private_apt() {
    apt-get -qq -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@"
}
# fetch PACKAGE PROGRAM
fetch() {
    if have "$2"; then return; fi
    private_apt download "$1" || { say "no archive of this machine has the package $1"; return 1; }
    dpkg-deb -x "$1"_*.deb root &&
        install -m 0755 "root/usr/bin/$2" "$bin_dir/$2" &&
        printf '%s is in %s\n' "$2" "$bin_dir"
}
# What is missing then is said by the downloads.
private_apt update || say "the archives of this machine cannot be reached"
mkdir -p "$bin_dir"
fetch prometheus promtool || { say "promtool, which tests rules, cannot be had"; exit 1; }
fetch prometheus-alertmanager amtool || say "amtool, which checks routes, cannot be had"
