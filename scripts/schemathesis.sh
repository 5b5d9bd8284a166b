#!/bin/bash
# Tests a running fleet with requests that schemathesis makes from its own OpenAPI document: all
# checks, all phases, following from what one operation answers to what the next one needs. First as
# two customers, neither of whom may see what the other has made, then as an administrator; at last, one
# by one and shortly, the operations after which whoever asks may be nobody any more. What it is told
# beyond the document, and why, is in schemathesis.toml.
#
# The fleet must have room for it, mail included, and is not good for anything else afterwards:
#
#   export EH_GATEWAY__RATE_LIMITS__{DEFAULT,LOGIN,REFRESH,REGISTER,MAIL,ADDRESS}__REQUESTS=1000000
#   export EH_GATEWAY__RATE_LIMITS__{PAYMENT,CALLBACK,DOCS}__REQUESTS=1000000
#   export EH_USER__THROTTLE__{VERIFICATION,RECOVERY}__FREE=1000000 EH_USER__LINKS__LIVE_MAX=1000000
#   cargo ehub up --detach && scripts/schemathesis.sh; cargo ehub down
#
# usage: scripts/schemathesis.sh [GATEWAY [EXAMPLES [SECONDS]]]
#   GATEWAY   where it answers; http://127.0.0.1:8080 by default
#   EXAMPLES  requests per operation and phase at most; 50 by default
#   SECONDS   what each of the two long runs may take; 600 by default. No longer than an access token
#             lives (`sessions.access_token_s` of auth-service, 900): afterwards nothing is tried
#             but expired tokens
#
# Exit code: 0, everything was as announced; 1, a server error, or an answer that the document does
# not announce; 2, nothing was tested, or not all of it, such as for want of Python or of a fleet.
set -euo pipefail
# A step that fails inside $(...) ends that too.
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

version=4.32.5
gateway=${1:-http://127.0.0.1:8080}
examples=${2:-50}
seconds=${3:-600}
# What is tried alone gets few examples, which are enough to end it, for so many seconds each.
few=5
short=15
password=a-customers-long-password
folder=$PWD/.ehub/schemathesis-$version
# What is local is not reached through a proxy.
export NO_PROXY='*' no_proxy='*'
umask 077

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 2
}

ask() { curl -fsS --max-time 20 -H 'content-type: application/json' "$@"; }

# Prints a token.
login() {
    local token
    token=$(ask "$gateway/api/v1/auth/login" -d "{\"email\":\"$1\",\"password\":\"$2\"}" |
        sed -nE 's/.*"access_token":"([^"]+)".*/\1/p')
    [ -n "$token" ] || fail "the answer to a login holds no token"
    printf '%s' "$token"
}

random() { od -An -N8 -tx1 /dev/urandom | tr -d ' \n'; }

address() { printf 'schemathesis-%s@example.com' "$(random)"; }

# Registers a customer with this address and prints the id.
register() {
    local account
    account=$(ask "$gateway/api/v1/users" \
        -d "{\"email\":\"$1\",\"password\":\"$password\",\"display_name\":\"Customer\"}") || return
    member id "$account"
}

# Registers a customer and prints a token.
customer() {
    local email
    email=$(address)
    register "$email" >/dev/null || return
    login "$email" "$password"
}

# Makes another administrator, in the name of a token, and prints a token of the new one.
administrator() {
    local email id
    email=$(address)
    id=$(register "$email") || return
    ask -X PUT -H "authorization: Bearer $1" -o /dev/null \
        "$gateway/api/v1/users/$id/roles" -d '{"roles":["customer","admin"]}' || return
    login "$email" "$password"
}

# Puts the products of schemathesis.toml on sale.
sell() {
    local number
    for number in {01..20}; do
        ask -X PUT -H "authorization: Bearer $1" -o /dev/null \
            "$gateway/api/v1/products/SCHEMATHESIS-$number" \
            -d '{"name":"To be tested with","unit_price":{"amount":100,"currency":"CNY"},"stock":1000000000}' ||
            return
    done
}

# Prints a member of an answer.
member() {
    local value
    value=$(sed -nE "s/.*\"$1\":\"([^\"]+)\".*/\1/p" <<<"$2")
    [ -n "$value" ] || fail "the answer holds no $1"
    printf '%s' "$value"
}

# What the dictionaries hold; nobody has this one.
nobody=00000000-0000-7000-8000-000000000001
sessions=("$nobody")
users=("$nobody")

# Places an order for each payment method, in the name of a token.
orders=()
payments=()
place() {
    local token=$1 method body order id
    for method in "${@:2}"; do
        body='{"items":[{"sku":"SCHEMATHESIS-01","quantity":1}],"payment_method":"'$method'"}'
        order=$(ask "$gateway/api/v1/orders" -H "authorization: Bearer $token" \
            -H "idempotency-key: schemathesis-$(random)" -d "$body") || return
        id=$(member id "$order") || return
        orders+=("$id")
        id=$(member payment_id "$order") || return
        payments+=("$id")
    done
}

install() {
    if [ -x "$folder/bin/schemathesis" ]; then return; fi
    command -v python3 >/dev/null || fail "python3 is missing"
    say "installing schemathesis $version in $folder"
    { python3 -m venv "$folder" && "$folder/bin/pip" install --quiet "schemathesis==$version"; } ||
        fail "schemathesis cannot be installed"
}

# Prints values that parameters take.
dictionary() {
    printf '[dictionaries.%s]\nvalues = [' "$1"
    printf '"%s", ' "${@:2}"
    printf ']\n'
}

entry() {
    printf '{"name":"%s","fixedHeaders":[{"name":"Authorization","value":"Bearer %s"}]}' "$1" "$2"
}

# Runs as the users of users.json; none of the peers may see what another one has made. Failures
# are remembered, so that the next run takes place all the same.
outcome=0
run() {
    local peers=$1 code=0
    {
        printf '[auth.wfc]\npath = "%s/users.json"\n%s' "$folder" "$peers"
        dictionary orders "${orders[@]}"
        dictionary payments "${payments[@]}"
        dictionary sessions "${sessions[@]}"
        dictionary users "${users[@]}"
        cat scripts/schemathesis.toml
    } >"$folder/schemathesis.toml"
    # The tool keeps to its time between requests; the outer bound is for one that hangs. What it
    # remembers of a run it keeps where it runs.
    timeout --kill-after=10 $((seconds + 120)) \
        env --chdir "$folder" "$folder/bin/schemathesis" --config-file "$folder/schemathesis.toml" run \
        "$gateway/openapi.json" --checks all --seed 1 --max-examples "$examples" --workers 1 \
        --continue-on-failure --max-time "$seconds" --request-timeout 20 \
        --suppress-health-check all "${@:2}" || code=$?
    case $code in
    0) ;;
    1) [ "$outcome" -ne 0 ] || outcome=1 ;;
    *)
        say "schemathesis ended with $code"
        outcome=2
        ;;
    esac
}

# Tries one operation as somebody whose session, account or role may be over after the first answer:
# what comes then is 401, as announced.
alone() {
    say "$1"
    printf '{"auth":[%s]}' "$(entry alone "$2")" >"$folder/users.json"
    examples=$few seconds=$short run '' --include-name "$1"
}

[[ $examples =~ ^[1-9][0-9]*$ && $seconds =~ ^[1-9][0-9]*$ ]] ||
    fail "EXAMPLES and SECONDS are numbers"
command -v curl >/dev/null || fail "curl is missing"
curl -fsS --max-time 20 -o /dev/null "$gateway/readyz" ||
    fail "no fleet is ready at $gateway: cargo ehub up --detach"
install

admin=$(login "${EH_ADMIN_EMAIL:-admin@example.com}" \
    "${EH_ADMIN_PASSWORD:-admin-for-development-only}") || fail "the administrator cannot log in"
sell "$admin" || fail "nothing can be put on sale"

say "as two customers"
one=$(customer) || fail "no customer can be made"
other=$(customer) || fail "no customer can be made"
# Several in each state that needs no administrator: what is refunded or cancelled stays so.
for token in "$one" "$other"; do
    place "$token" pm_ok pm_ok pm_ok pm_ok pm_declined pm_declined pm_never pm_never ||
        fail "no order can be placed"
done
printf '{"auth":[%s,%s]}' "$(entry one "$one")" "$(entry other "$other")" >"$folder/users.json"
# Whoever ends its sessions, or changes its password, cannot go on; see below.
run $'peers = ["one", "other"]\n' --exclude-path-regex '/auth/logout$|/users/me/password$' \
    --exclude-name 'DELETE /api/v1/auth/sessions' \
    --exclude-name 'DELETE /api/v1/auth/sessions/{id}'

say "as an administrator"
# Another token: the first is old by now, and so are those of the customers.
admin=$(login "${EH_ADMIN_EMAIL:-admin@example.com}" \
    "${EH_ADMIN_PASSWORD:-admin-for-development-only}") || fail "the administrator cannot log in"
one=$(customer) || fail "no customer can be made"
orders=()
payments=()
place "$one" pm_ok pm_ok pm_ok pm_ok || fail "no order can be placed"
printf '{"auth":[%s]}' "$(entry admin "$admin")" >"$folder/users.json"
# Nor can an administrator who withdraws the key of its token, its own role, account or sessions; and
# what it does to others must not fall on those who are needed.
run '' --include-path-regex '/admin/|/users|/products|/ship$|/complete$' \
    --exclude-path-regex '/users/me/password$|/users/\{id\}/(status|roles|sessions)$|/admin/keys/rotate$'

say "as somebody else for each operation that ends something"
for name in 'POST /api/v1/auth/logout' 'PUT /api/v1/users/me/password' 'DELETE /api/v1/auth/sessions'; do
    one=$(customer) || fail "no customer can be made"
    alone "$name" "$one"
done

email=$(address)
register "$email" >/dev/null || fail "no customer can be made"
# Sessions to be ended, and the one that ends them.
for _ in {1..10}; do
    one=$(login "$email" "$password") || fail "a customer cannot log in"
done
list=$(ask "$gateway/api/v1/auth/sessions" -H "authorization: Bearer $one") || fail "no sessions are listed"
mapfile -t sessions < <(grep -oE '"id":"[^"]+"' <<<"$list" | cut -d '"' -f 4)
[ "${#sessions[@]}" -ge 10 ] || fail "the list holds ${#sessions[@]} sessions"
alone 'DELETE /api/v1/auth/sessions/{id}' "$one"

admin=$(login "${EH_ADMIN_EMAIL:-admin@example.com}" \
    "${EH_ADMIN_PASSWORD:-admin-for-development-only}") || fail "the administrator cannot log in"
users=()
for _ in {1..5}; do
    id=$(register "$(address)") || fail "no customer can be made"
    users+=("$id")
done
# The last one makes every token worthless that was issued before.
for name in 'PUT /api/v1/users/{id}/status' 'PUT /api/v1/users/{id}/roles' \
    'DELETE /api/v1/users/{id}/sessions' 'POST /api/v1/admin/keys/rotate'; do
    second=$(administrator "$admin") || fail "no second administrator can be made"
    alone "$name" "$second"
done

exit "$outcome"
