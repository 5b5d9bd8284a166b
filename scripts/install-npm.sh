#!/bin/sh
# Installs npm, from whose registry buf comes, which checks proto/: with apt, as Debian's or Ubuntu's
# package. Does nothing where it is already there, and fails if it cannot be had.
#
# usage: scripts/install-npm.sh
set -eu

say() { printf 'install-npm: %s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

if have npm; then
    exit 0
fi
if ! have apt-get; then
    say "this machine has no apt-get. Install npm by its own package manager."
    exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    have sudo || { say "installing needs root, and sudo is missing. As root, run: apt-get install npm"; exit 1; }
fi

say "will run: ${as_root:+$as_root }apt-get update; apt-get install --no-install-recommends npm"
# What is missing then is said by the installation.
$as_root apt-get update -qq || say "the archives of this machine cannot be reached"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm
