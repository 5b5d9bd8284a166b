#!/bin/bash
# Proves that services as they are released hold no failpoint and no planted bug: looks for every such
# name in them.
#
# By default the services are compiled as they are shipped, but not optimised: optimising takes minutes,
# and can only remove what such binaries hold. The same search in the test binaries has to find all names,
# else it would prove nothing.
#
# usage: scripts/check-release.sh [--in FOLDER]      --in: of the services that lie in this folder
set -euo pipefail

usage() {
    echo "usage: scripts/check-release.sh [--in FOLDER]" >&2
    exit 2
}

case $#-${1-} in
0-) folder= ;;
2---in) folder=$(realpath -e "$2") ;;
*) usage ;;
esac
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
services=(gateway-service user-service auth-service order-service payment-service notify-service)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# The names are literals of the two macros, outside of comments; what the macros' own test asks for is none.
names() {
    find chassis/src ./*-service/src -name '*.rs' -exec grep -hvE '^[[:space:]]*//' {} + |
        grep -oE '(failpoint|mutant)!\("[a-z_.]+"\)' | sed -E 's/.*"(.*)".*/\1/' | grep -vx anything | sort -u
}

# found BINARY: which of the names are in it
found() { grep -aoFf "$list" "$1" | sort -u || true; }

# The build of `ehub test`, and nothing is compiled where that has been.
check_tests() {
    local seen
    cargo build --workspace --all-features --bins --tests
    seen=$(for service in "${services[@]}"; do found "$target/debug/$service"; done | sort -u)
    [ "$seen" = "$(cat "$list")" ] && return
    echo "check-release: not in any test binary, so the search is blind to them:" >&2
    comm -13 <(echo "$seen") "$list" >&2
    return 1
}

# check FOLDER: that its services hold none of the names. What they do hold is the default configuration.
check() {
    local service hits
    for service in "${services[@]}"; do
        if ! grep -aqF "$(head -n 1 "$service/config/default.toml")" "$1/$service"; then
            echo "check-release: $1/$service is no $service" >&2
            return 1
        fi
        hits=$(found "$1/$service")
        [ -n "$hits" ] || continue
        echo "check-release: $1/$service holds names of failpoints or planted bugs:" >&2
        echo "$hits" >&2
        return 1
    done
    echo "check-release: no failpoint and no planted bug in ${#services[@]} services of $1"
}

names >"$list"
echo "check-release: looking for $(wc -l <"$list") names"
if [ -n "$folder" ]; then
    check "$folder"
else
    check_tests
    cargo build --workspace --exclude fleet --profile unoptimised --bins
    check "$target/unoptimised"
fi
