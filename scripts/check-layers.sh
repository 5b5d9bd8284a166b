#!/bin/sh
# Checks who may use what (CONTRIBUTING.md, "How the code is laid out"): the inner layers of a service know no
# technology, ports know no adapter, services know no other service, and the chassis knows none.
#
# usage: scripts/check-layers.sh [FOLDER]      checks a checkout, by default this one
#        scripts/check-layers.sh --self-test   proves that every rule can fail
#
# shellcheck disable=SC2046,SC2086 # lists of files become words on purpose; no name here has a blank
set -eu

services="gateway-service user-service auth-service order-service payment-service notify-service"
drivers="sqlx lapin redis axum tonic prost"

# Prints lines of the files that use one of the crates or modules; test modules are not looked at.
# usage: uses WORDS FILE...
uses() {
    words=$(printf '%s' "$1" | tr ' ' '|')
    shift
    for file in "$@"; do
        [ -f "$file" ] || continue
        awk -v file="$file" -v words="$words" '
            /^#\[cfg\(test\)\]/ { exit }
            { line = $0; sub(/\/\/.*/, "", line) }
            line ~ ("(^|[^A-Za-z0-9_])(" words ")(::|;)") { print file ":" FNR ": " $0 }
        ' "$file"
    done
}

# usage: forbid REASON WORDS FILE...
forbid() {
    reason=$1
    shift
    found=$(uses "$@")
    [ -z "$found" ] || printf '%s\n' "$found" | sed "s|\$|   <- $reason|"
}

rust_files() { find "$@" -name '*.rs' 2>/dev/null || true; }

check_service() {
    others=$(printf '%s\n' $services | grep -v "^$1\$" | tr '-' '_' | tr '\n' ' ')
    forbid "a service talks to another by gRPC or events" "${others% }" $(rust_files "$1")
    forbid "the model knows no technology" "$drivers tokio tracing proto" $(rust_files "$1/src/model")
    forbid "a use case knows ports, not adapters" \
        "sqlx lapin axum tonic prost proto crate::config crate::repository::mysql crate::client::grpc" \
        $(rust_files "$1/src/service")
    forbid "a port knows no driver" "$drivers" "$1/src/repository/mod.rs" "$1/src/client/mod.rs"
    forbid "the API knows no storage" "sqlx crate::repository::mysql" $(rust_files "$1/src/api")
    forbid "storage knows neither API nor use cases" "tonic crate::api crate::service" \
        "$1/src/repository/mysql.rs" $(rust_files "$1/src/repository/mysql")
    # The simulated payment provider is an adapter with a memory of its own.
    forbid "a client knows neither storage, API nor use cases" "sqlx crate::api crate::service" \
        $(rust_files "$1/src/client" | grep -v '/simulated/mysql\.rs$')
    forbid "only main and lib know the composition root" "crate::app" \
        $(rust_files "$1/src" | grep -vE '/src/(main|lib|app)\.rs$|/src/app/|/contract(\.rs$|/)')
}

check() {
    cd "$1"
    for service in $services; do check_service "$service"; done
    names=$(printf '%s' "$services" | tr '-' '_')
    forbid "the chassis knows no contract and no service" "proto $names" $(rust_files chassis/src)
    forbid "the tool builds without the chassis" "chassis consulrs $names" $(rust_files fleet/src)
}

# Breaks each rule once in a made-up checkout.
self_test() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    expected=0
    while read -r file text; do
        mkdir -p "$folder/$(dirname "$file")"
        printf '%s\n' "$text" >>"$folder/$file"
        expected=$((expected + 1))
    done <<'END'
order-service/src/lib.rs use payment_service::App;
order-service/src/model/order.rs use sqlx::Row;
order-service/src/service/place.rs let x = tonic::Status::ok("");
order-service/src/repository/mod.rs use sqlx::MySqlPool;
order-service/src/api/grpc.rs use sqlx::query;
order-service/src/repository/mysql.rs use crate::api::grpc;
order-service/src/client/payment.rs use crate::service::OrderService;
order-service/src/config.rs use crate::app::App;
chassis/src/lib.rs use proto::order;
fleet/src/lib.rs use chassis::id;
END
    printf '// use sqlx::Row;\nuse thiserror::Error;\n#[cfg(test)]\nuse tonic::Status;\n' \
        >"$folder/order-service/src/model/clean.rs"
    found=$(check "$folder" | tee /dev/stderr | wc -l)
    [ "$found" -eq "$expected" ] || { echo "self-test: $found findings, not $expected" >&2; exit 1; }
    echo "self-test: every rule can fail"
}

if [ "${1:-}" = "--self-test" ]; then
    self_test
    exit 0
fi
findings=$(check "${1:-$(dirname "$0")/..}")
if [ -n "$findings" ]; then
    printf '%s\n' "$findings" >&2
    echo "check-layers: $(printf '%s\n' "$findings" | wc -l) violations" >&2
    exit 1
fi
echo "check-layers: every layer uses only what it may"
