#!/bin/bash
# Tests a running fleet with requests that schemathesis makes from its own OpenAPI document: all
# checks, all phases, following from what one operation answers to what the next one needs. First as
# two customers, neither of whom may see what the other has made, then as an administrator. Fails on
# any server error and on any answer that the document does not announce.
#
# The fleet must have room for it, and is not good for anything else afterwards:
#
#   export EH_GATEWAY__RATE_LIMITS__{DEFAULT,LOGIN,REGISTER,PAYMENT,DOCS}__REQUESTS=1000000
#   cargo ehub up --detach && scripts/schemathesis.sh; cargo ehub down
#
# usage: scripts/schemathesis.sh [GATEWAY [EXAMPLES]]
#   GATEWAY   where it answers; http://127.0.0.1:8080 by default
#   EXAMPLES  requests per operation and phase at most; 50 by default
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
gateway=${1:-http://127.0.0.1:8080}
examples=${2:-50}
password=a-customers-long-password
folder=$PWD/.ehub/schemathesis-$version

say() { printf '%s\n' "$*" >&2; }

ask() { curl --noproxy '*' -fsS -H 'content-type: application/json' "$@"; }

login() {
    ask "$gateway/api/v1/auth/login" -d "{\"email\":\"$1\",\"password\":\"$2\"}" |
        sed -E 's/.*"access_token":"([^"]+)".*/\1/'
}

# Registers a customer and prints a token.
customer() {
    local email
    email="schemathesis-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')@example.com"
    ask "$gateway/api/v1/users" -o /dev/null \
        -d "{\"email\":\"$email\",\"password\":\"$password\",\"display_name\":\"Customer\"}"
    login "$email" "$password"
}

install() {
    [ -x "$folder/bin/schemathesis" ] && return
    command -v python3 >/dev/null || { say "python3 is missing"; exit 2; }
    say "installing schemathesis $version in $folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet "schemathesis==$version"
}

entry() {
    printf '{"name":"%s","fixedHeaders":[{"name":"Authorization","value":"Bearer %s"}]}' "$1" "$2"
}

# Runs as the first of these users; none of them may see what another one has made.
run() {
    local peers=$1
    printf '[auth.wfc]\npath = "%s/users.json"\n%s' "$folder" "$peers" >"$folder/schemathesis.toml"
    "$folder/bin/schemathesis" --config-file "$folder/schemathesis.toml" run "$gateway/openapi.json" \
        --checks all --seed 1 --max-examples "$examples" --workers 1 --continue-on-failure \
        --request-timeout 20 --suppress-health-check all "${@:2}"
}

install
one=$(customer)
other=$(customer)
admin=$(login "${EH_ADMIN_EMAIL:-admin@example.com}" "${EH_ADMIN_PASSWORD:-admin-for-development-only}")
umask 077

say "as two customers"
printf '{"auth":[%s,%s]}' "$(entry one "$one")" "$(entry other "$other")" >"$folder/users.json"
# Whoever logs out, or changes its password, cannot go on.
run $'peers = ["one", "other"]\n' --exclude-path-regex '/auth/logout$|/users/me/password$'

say "as an administrator"
printf '{"auth":[%s]}' "$(entry admin "$admin")" >"$folder/users.json"
run '' --include-path-regex '/admin/|/users|/products|/ship$|/complete$' \
    --exclude-path-regex '/users/me/password$|/users/\{id\}/(status|roles)$'
