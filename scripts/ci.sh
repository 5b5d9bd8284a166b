#!/bin/bash
# Every check that a change has to pass, on a machine with nothing but Rust, a C compiler and the
# package registries: what else is needed is installed by `cargo ehub test`, by scripts/install-*.sh or in
# a temporary folder.
#
# usage: scripts/ci.sh [STAGE...]      all stages by default
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}
# Smaller build data, and nobody builds a change twice here.
export CARGO_INCREMENTAL=0

all_stages=(format scripts machine lint docs protocol observability manifests dependencies test mutants release)

stage_format() { cargo fmt --all --check; }

stage_scripts() {
    scripts/check-layers.sh --self-test 2>/dev/null
    scripts/check-layers.sh
    scripts/check-logs.sh
    if command -v shellcheck >/dev/null; then
        shellcheck --severity=warning scripts/*.sh .ci/run .github/*.sh
    else
        echo "shellcheck is missing, so SCRIPTS ARE NOT CHECKED" >&2
    fi
}

# Linting compiles everything, OpenSSL included, which needs perl and make.
stage_machine() { scripts/install-middleware.sh; }

stage_lint() { cargo clippy --workspace --all-targets --all-features -- -D warnings; }

stage_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features; }

stage_protocol() {
    if ! scripts/install-npm.sh; then
        echo "npm is missing: buf, which checks proto/, comes from its registry. Install npm," >&2
        echo "or leave this stage out: scripts/ci.sh ${all_stages[*]/protocol/}" >&2
        return 1
    fi
    local folder buf_version=1.75.0
    folder=$(mktemp -d)
    npm install --silent --no-audit --no-fund --prefix "$folder" "@bufbuild/buf@$buf_version"
    "$folder/node_modules/.bin/buf" lint proto
    rm -rf "$folder"
}

# Rules and their unit tests by promtool, routes by amtool; that rules ask for what is exported, by the
# tests of fleet. A machine that cannot have one of them skips its part, and says so; the stage `test`
# does so too. CI has both.
stage_observability() {
    local files rules=deploy/observability/rules PATH="$PWD/.ehub/bin:$PATH"
    if ! scripts/install-promtool.sh; then
        echo "promtool is missing, so RULES AND ALERTS ARE NOT TESTED, NEITHER HERE NOR ON A REAL FLEET" >&2
        return
    fi
    promtool check config --syntax-only deploy/observability/prometheus.yml
    mapfile -t files < <(find "$rules" -name '*.yml' ! -name '*_test.yml')
    promtool check rules "${files[@]}"
    promtool test rules "$rules"/*_test.yml
    if ! command -v amtool >/dev/null; then
        echo "amtool is missing, so ROUTES OF ALERTS ARE NOT CHECKED" >&2
        return
    fi
    amtool check-config deploy/observability/alertmanager.yml
}

# What deploys the fleet, against schemas that come from the package index of Python. A machine that has
# none of it, or cannot reach that, skips this, and says so; a manifest that is not valid fails.
stage_manifests() {
    local code=0
    scripts/check-manifests.sh || code=$?
    [ "$code" -ne 2 ] || echo "SCHEMAS OF MANIFESTS, COMPOSE FILES AND WORKFLOWS ARE NOT CHECKED" >&2
    [ "$code" -eq 0 ] || [ "$code" -eq 2 ]
}

# Licences, banned crates, sources and bills of materials by tests, which need nothing but cargo: to
# install cargo-deny compiles for minutes. Where it is there, it has its say too, and knows of
# advisories. A database of advisories that cannot be reached fails nothing: it is said.
stage_dependencies() {
    cargo test --workspace --all-features --test supply
    cargo ehub sbom --out target/sbom
    if ! cargo deny --version >/dev/null 2>&1; then
        echo "cargo-deny is missing, so ADVISORIES ARE NOT CHECKED: cargo install cargo-deny --locked" >&2
        return
    fi
    cargo deny check bans licenses sources
    if cargo deny fetch db; then
        cargo deny check --disable-fetch advisories
    else
        echo "the database of advisories cannot be reached, so ADVISORIES ARE NOT CHECKED" >&2
    fi
}

stage_test() { cargo ehub test; }

# The tests of the stage before, with bugs planted: they have to fail.
stage_mutants() { cargo ehub mutants; }

stage_release() { scripts/check-release.sh; }

run_stage() {
    local start=$SECONDS
    printf '\n=== %s\n' "$1"
    "stage_$1"
    printf '=== %s: passed in %d s\n' "$1" "$((SECONDS - start))"
}

[ $# -gt 0 ] || set -- "${all_stages[@]}"
for stage in "$@"; do
    run_stage "$stage"
done
printf '\nAll stages passed in %d s.\n' "$SECONDS"
