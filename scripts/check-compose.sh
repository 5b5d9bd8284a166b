#!/bin/bash
# Proves that the fleet in containers works: starts deploy/docker-compose.yml, waits until all of it is
# healthy, puts products on sale, and has a customer register, order, pay and be notified. Whatever
# comes of it, it is taken down with its volumes; it is a project of its own, so that a fleet's data are
# never touched.
#
# It publishes what the file says, on 127.0.0.1: 8080 (gateway), 8500 (Consul), 15672 (RabbitMQ). Where
# one of them is taken, nothing is started.
#
# usage: scripts/check-compose.sh [--no-build]
#   --no-build  takes the images that are there, as `docker compose -f deploy/docker-compose.yml build`
#               names them, instead of building some that are removed afterwards
#
# EHUB is the command that asks the fleet, `cargo ehub` by default. The image of the certificates has it,
# for machines on which nothing else needs Rust:
#
#   EHUB="docker run --rm --network host --entrypoint /usr/local/bin/ehub enterprisehub-certificates" \
#       scripts/check-compose.sh --no-build
#
# Exit code: 0, the order was paid and its customer notified; 1, something failed, and the logs are above;
# 2, nothing was tested, such as for want of Docker or because a port is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

project=enterprisehub-check
url=http://127.0.0.1:8080
ports=(8080 8500 15672)
patience_s=300
images=(certificates)
for name in gateway user auth order payment notify; do images+=("$name-service"); done

say() { printf 'check-compose: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 2
}

compose() { docker compose --project-name "$project" "${files[@]}" "$@"; }

is_taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Without images that were not built here: their names are those of all fleets on this machine.
take_down() {
    local what=(--volumes --remove-orphans --timeout 20)
    [ -n "$built" ] && what+=(--rmi local)
    compose down "${what[@]}" >&2
}

# Every way out leads through here once something was started.
finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    if [ "$code" -ne 0 ]; then
        compose ps --all >&2 || true
        compose logs --no-color --tail 200 >&2 || true
    fi
    take_down || { say "what it started is not all gone"; [ "$code" -ne 0 ] || code=1; }
    rm -rf -- "$work"
    [ "$code" -eq 0 ] || { say "FAILED after $SECONDS s" && exit 1; }
    say "passed in $SECONDS s"
    exit 0
}

built=yes
case ${1:-} in
"") ;;
--no-build) built= ;;
*) fail "usage: scripts/check-compose.sh [--no-build]" ;;
esac
read -ra ehub <<<"${EHUB:-cargo ehub}"
docker compose version >/dev/null 2>&1 || fail "docker compose is missing"
docker info >/dev/null 2>&1 || fail "no Docker engine answers"

# Whatever the environment says, it is this file, without what watches the fleet.
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME
files=(--file deploy/docker-compose.yml)
compose --profile '*' config --quiet || exit 1
docker compose --file deploy/docker-compose.infrastructure.yml config --quiet || exit 1
say "the files can be read, with all profiles"

# Compiled, if need be, before the clock starts.
"${ehub[@]}" --help >/dev/null || fail "${ehub[*]} does not run"

mkdir -p .ehub
# Two at a time would take each other down.
exec {lock}>.ehub/check-compose.lock
flock --nonblock "$lock" || fail "another one is running"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
if [ -z "$built" ]; then
    {
        echo "services:"
        for image in "${images[@]}"; do
            docker image inspect "enterprisehub-$image" >/dev/null 2>&1 ||
                fail "there is no image enterprisehub-$image: leave --no-build out"
            printf '  %s: { image: enterprisehub-%s }\n' "$image" "$image"
        done
    } >"$work/images.yml"
    files+=(--file "$work/images.yml")
fi

# What a run that was killed has left behind.
compose down --volumes --remove-orphans --timeout 5 >&2 || exit 1
for port in "${ports[@]}"; do
    if is_taken "$port"; then
        fail "port $port is taken: cargo ehub down, or docker compose -f deploy/docker-compose.yml down"
    fi
done

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
SECONDS=0
if [ -n "$built" ]; then
    compose build
    say "built after $SECONDS s"
fi
compose up --no-build --detach --wait --wait-timeout "$patience_s"
say "healthy after $SECONDS s"
"${ehub[@]}" seed --url "$url"
"${ehub[@]}" demo --url "$url"
say "an order was paid and its customer notified after $SECONDS s"
