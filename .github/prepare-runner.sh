#!/bin/bash
# Makes a runner of GitHub's into a machine on which scripts/install-middleware.sh does the rest.
set -euo pipefail

# Neither the runner's packages nor the archives it knows have Consul.
container=$(docker create hashicorp/consul:1.20)
docker cp "$container:/bin/consul" "$RUNNER_TEMP/consul"
docker rm "$container"
sudo install -m 0755 "$RUNNER_TEMP/consul" /usr/local/bin/consul

# The runner's own MySQL may write below /var/lib/mysql only.
if [ -e /etc/apparmor.d/usr.sbin.mysqld ]; then
    sudo ln -sf /etc/apparmor.d/usr.sbin.mysqld /etc/apparmor.d/disable/
    sudo apparmor_parser -R /etc/apparmor.d/usr.sbin.mysqld
fi
