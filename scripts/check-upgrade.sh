#!/bin/bash
# Proves that a running fleet of the version before can be replaced by this one: builds the services of
# an earlier commit as that one shipped them, in a folder of their own, starts a private fleet of them,
# replaces every process by this checkout's under load, and audits what both have written. While that
# lasts, binaries of the version before work on the schema of this one, and each version calls the
# other and reads its events.
#
# The fleet is configured by this checkout: the version before has to know every setting that the
# harness gives it, or its services end with exit code 64 and name the one that they do not know.
#
# usage: scripts/check-upgrade.sh [COMMIT [REQUESTS]]
#   COMMIT    the version before: a commit, tag or branch. By default the last release before HEAD; where
#             there is none yet, the commit at which this branch left origin/main; and on main itself, the
#             commit before the last one that changed a migration. Which of them it is, is said
#   REQUESTS  how many requests are made, at least; 3000 by default
#
# Exit code: 0, nothing was lost; 1, something was, or a build or start failed; 2, nothing was tested.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'check-upgrade: %s\n' "$*" >&2
    exit 2
}

requests=${2:-3000}
[[ $requests =~ ^[1-9][0-9]*$ ]] || fail "REQUESTS is a number"

# Prints the version before, and why it is that one.
choose() {
    local found head
    head=$(git rev-parse HEAD)
    if found=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null); then
        echo "$found the last release"
    elif found=$(git merge-base HEAD origin/main 2>/dev/null) && [ "$found" != "$head" ]; then
        echo "$found for want of a release, where this branch left origin/main"
    elif found=$(git log -1 --first-parent --format=%H -- '*/migrations/*') && [ -n "$found" ] &&
        found=$(git rev-parse --verify --quiet "$found^"); then
        echo "$found for want of a release, what was there before the last change of a schema"
    fi
}

if [ $# -gt 0 ] && [ -n "$1" ]; then
    before=$1 why="as told"
else
    [ "$(git rev-parse --is-shallow-repository)" = false ] ||
        fail "the history is cut off, and the version before with it: git fetch --unshallow --tags, or name a commit"
    read -r before why <<<"$(choose)"
    [ -n "$before" ] || fail "there is no release before HEAD and no change of a schema: name a commit"
fi
commit=$(git rev-parse --verify --quiet "$before^{commit}") || fail "there is no commit $before"

folder=$PWD/.ehub/upgrade/$commit
if [ ! -d "$folder/source" ]; then
    rm -rf "$folder/unpacked"
    mkdir -p "$folder/unpacked"
    git archive "$commit" | tar -x -C "$folder/unpacked"
    mv "$folder/unpacked" "$folder/source"
fi

echo "check-upgrade: the version before is $before: $why"
echo "check-upgrade: building $commit"
packages=()
for service in gateway user auth order payment notify; do packages+=(--package "$service-service"); done
# In its own folder, where cargo takes its own toolchain and settings, and into a target of its own.
(cd "$folder/source" && CARGO_TARGET_DIR="$folder/target" cargo build --locked --release --bins "${packages[@]}")

echo "check-upgrade: replacing $before by this checkout"
cargo ehub roll --from "$folder/target/release" --rounds 1 --requests "$requests"
