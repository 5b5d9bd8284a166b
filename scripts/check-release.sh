#!/bin/bash
# Proves that release binaries hold no failpoint and no planted bug: builds the services as they are
# shipped and looks for every such name in them. The same search in the test binaries has to succeed,
# else it would prove nothing.
#
# usage: scripts/check-release.sh [SERVICE...]      all six by default
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
services=("$@")
[ $# -gt 0 ] || services=(gateway-service user-service auth-service order-service payment-service notify-service)

# The names are literals of the two macros, outside of comments; what the macros' own test asks for is none.
names() {
    find chassis/src ./*-service/src -name '*.rs' -exec grep -hvE '^[[:space:]]*//' {} + |
        grep -oE '(failpoint|mutant)!\("[a-z_.]+"\)' | sed -E 's/.*"(.*)".*/\1/' | grep -vx anything | sort -u
}

# found NAMES BINARY: which of the names are in the binary
found() { grep -aoFf "$1" "$2" | sort -u || true; }

list=$(mktemp)
trap 'rm -f "$list"' EXIT
names >"$list"
echo "check-release: looking for $(wc -l <"$list") names"

packages=()
for service in "${services[@]}"; do packages+=(--package "$service"); done
cargo build --all-features --bins "${packages[@]}"
seen=$(for service in "${services[@]}"; do found "$list" "$target/debug/$service"; done | sort -u)
if [ "${#services[@]}" -eq 6 ] && [ "$seen" != "$(cat "$list")" ]; then
    echo "check-release: not in any test binary, so the search is blind to them:" >&2
    comm -13 <(echo "$seen") "$list" >&2
    exit 1
fi

cargo build --release --bins "${packages[@]}"
for service in "${services[@]}"; do
    hits=$(found "$list" "$target/release/$service")
    if [ -n "$hits" ]; then
        echo "check-release: $service holds names of failpoints or planted bugs:" >&2
        echo "$hits" >&2
        exit 1
    fi
done
echo "check-release: no failpoint and no planted bug in ${#services[@]} release binaries"
