#!/bin/bash
# Checks what deploys the fleet against the schemas of those who read it: the Kubernetes manifests as
# Kustomize renders them, in the oldest version that is supported and in the latest one that the
# schemas are there for; the Compose files; the workflows. Nothing is asked but the package index of
# Python, once: the schemas are in the packages.
#
# usage: scripts/check-manifests.sh
#
# Exit code: 0, all of them are valid; 1, one is not; 2, nothing was checked, such as for want of
# Python. Without kubectl, which renders, single manifests are checked and overlays are not.
set -euo pipefail
cd "$(dirname "$0")/.."

# Their schemas: Kubernetes 1.21 to 1.37; Compose and workflows as of the release.
kubernetes_validate=1.37.0
check_jsonschema=0.39.0
# What docs/KUBERNETES.md promises, and what is newest here.
versions=(1.30 1.37)
folder=$PWD/.ehub/manifests-$kubernetes_validate-$check_jsonschema
manifests=deploy/kubernetes

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 2
}

install() {
    if [ -x "$folder/bin/kubernetes-validate" ] && [ -x "$folder/bin/check-jsonschema" ]; then return; fi
    command -v python3 >/dev/null || fail "python3 is missing"
    say "installing kubernetes-validate $kubernetes_validate and check-jsonschema $check_jsonschema in $folder"
    { python3 -m venv "$folder" && "$folder/bin/pip" install --quiet \
        "kubernetes-validate==$kubernetes_validate" "check-jsonschema==$check_jsonschema"; } ||
        fail "the schemas cannot be installed"
}

# valid NAME FILE...: in every version. Resources of others, such as cert-manager's, have no schema
# there and are left out.
valid() {
    local name=$1 version
    shift
    for version in "${versions[@]}"; do
        if "$folder/bin/kubernetes-validate" --strict --quiet --no-warn -k "$version" "$@"; then
            printf '%s: valid for Kubernetes %s\n' "$name" "$version"
        else
            say "$name: NOT VALID for Kubernetes $version"
            outcome=1
        fi
    done
}

# render FOLDER: what Kustomize makes of it.
render() {
    kubectl kustomize "$1" >"$work/rendered.yaml" || fail "$1 cannot be rendered"
    # An empty rendering would be valid.
    grep -q '^kind: Deployment$' "$work/rendered.yaml" || fail "$1 deploys nothing"
}

install
outcome=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if command -v kubectl >/dev/null; then
    for overlay in "$manifests"/overlays/*/; do
        render "$overlay"
        valid "$overlay" "$work/rendered.yaml"
    done
    # No overlay has these components, which are for those who have Consul or Prometheus's operator.
    for component in consul prometheus; do
        mkdir "$work/$component"
        to=$(realpath --relative-to="$work/$component" "$manifests")
        printf 'resources: [%s/overlays/dev]\ncomponents: [%s/components/%s]\n' "$to" "$to" "$component" \
            >"$work/$component/kustomization.yaml"
        render "$work/$component"
        valid "$manifests/overlays/dev with $component" "$work/rendered.yaml"
    done
else
    say "kubectl is missing, so OVERLAYS ARE NOT RENDERED"
    mapfile -t files < <(find "$manifests" -name '*.yaml' ! -name kustomization.yaml)
    valid "$manifests" "${files[@]}"
fi

"$folder/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/docker-compose*.yml || outcome=1
"$folder/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml || outcome=1

exit "$outcome"
