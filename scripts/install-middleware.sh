#!/bin/sh
# Installs what a Debian or Ubuntu machine needs to run the fleet without containers:
#   - MariaDB, Redis and RabbitMQ, and the tools that build OpenSSL from source: with apt;
#   - Consul: with apt where the release has it, else, on Debian, Debian 11's package, unpacked into
#     .ehub/bin. On Ubuntu install Consul yourself, or have a Docker engine.
# Installs only what is missing, so it may run any number of times.
#
# usage: scripts/install-middleware.sh [--dry-run]
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bin_dir="$root/.ehub/bin"
PATH="$bin_dir:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
dry_run=${1:-}

say() { printf '%s\n' "$*"; }
fail() { printf 'install-middleware: %s\n' "$*" >&2; exit 1; }
case $dry_run in
    "" | --dry-run) ;;
    *) fail "usage: scripts/install-middleware.sh [--dry-run]" ;;
esac
have() { command -v "$1" >/dev/null 2>&1; }

command -v apt-get >/dev/null 2>&1 || fail "this machine has no apt-get. Install MariaDB or MySQL, \
Redis, RabbitMQ and Consul with its own package manager, or install Docker."

packages=""
have mariadbd || have mysqld || packages="$packages mariadb-server"
have redis-server || packages="$packages redis-server"
have rabbitmq-server || packages="$packages rabbitmq-server"
have perl || packages="$packages perl"
have make || packages="$packages make"
have cc || have gcc || packages="$packages gcc libc6-dev"

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
fi

# The packages start system-wide services where an init system runs; the fleet never uses those.
install_packages() {
    say "will run: ${as_root:+$as_root }apt-get update; apt-get install --no-install-recommends$packages"
    [ "$dry_run" = "--dry-run" ] && return 0
    if [ -n "$as_root" ] && ! have sudo; then
        fail "installing needs root, and sudo is missing. As root, run: apt-get install$packages"
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # the list is split into words on purpose
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
}

# The archives this machine already uses, so that a mirror or a proxy keeps working.
debian_archives() {
    # shellcheck disable=SC2016 # apt's own name
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u | grep -E '/debian/?$' || true
}

# An apt of its own: other sources, lists and cache than the system's, which stays as it is.
private_apt() {
    apt-get -qq \
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User= -o Acquire::Check-Valid-Until=false "$@"
}

unpack_consul_from() {
    archive=$1
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -r "$keyring" ] || return 1
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    printf 'deb [signed-by=%s] %s bullseye main\n' "$keyring" "$archive" >"$work/sources.list"
    if private_apt update && (cd "$work" && private_apt download consul); then
        dpkg-deb -x "$work"/consul_*.deb "$work/root"
        mkdir -p "$bin_dir"
        install -m 0755 "$work/root/usr/bin/consul" "$bin_dir/consul"
    fi
    rm -rf "$work"
    [ -x "$bin_dir/consul" ]
}

install_consul() {
    if [ -n "$(apt-cache madison consul 2>/dev/null)" ]; then
        packages=" consul"
        install_packages
        return 0
    fi
    say "will unpack Debian 11's consul package into $bin_dir (no system file is touched)"
    [ "$dry_run" = "--dry-run" ] && return 0
    for archive in $(debian_archives); do
        unpack_consul_from "$archive" && return 0
    done
    fail "no archive of this machine has Consul. Download the release for your platform from \
HashiCorp's Consul page, and put the binary on the PATH or into $bin_dir."
}

if [ -n "$packages" ]; then
    install_packages
else
    say "MariaDB or MySQL, Redis, RabbitMQ and the build tools are already here"
fi
if have consul; then
    say "Consul is already here: $(command -v consul)"
else
    install_consul
fi
[ "$dry_run" = "--dry-run" ] || say "middleware is installed"
