#!/bin/sh
# Prints what is new in a version: its section of CHANGELOG.md, or, where there is none, the subjects
# of the commits since the tag before.
#
# usage: scripts/release-notes.sh TAG      a tag such as v1.2.3
set -eu
cd "$(dirname "$0")/.."

tag=${1:?usage: scripts/release-notes.sh TAG}

section=
if [ -f CHANGELOG.md ]; then
    section=$(awk -v version="${tag#v}" '
        /^## / { inside = $2 == version || $2 == "[" version "]"; next }
        inside { print }
    ' CHANGELOG.md)
fi
if [ -n "$section" ]; then
    printf '%s\n' "$section"
    exit
fi

previous=$(git describe --tags --abbrev=0 "$tag^" 2>/dev/null || true)
git log --no-merges --reverse --format='- %s' "${previous:+$previous..}$tag"
