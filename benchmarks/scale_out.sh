#!/usr/bin/env bash
# The yardstick of four workers more: what `up` does then, as a plain script of docker and psql, on a cluster of plain.sh. Takes
# the same prefix and port.
set -euo pipefail

readonly prefix=$1 port=$2 image=citusdata/citus:12.1
export PGPASSWORD=0000
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
printf '%s' "$PGPASSWORD" >"$secrets/password"

for node in worker_5 worker_6 worker_7 worker_8; do
    docker create --name "${prefix}_$node" --label bench="$prefix" --network "$prefix" \
        --restart unless-stopped --shm-size 256m --stop-timeout 60 -v "${prefix}_${node}_data:/var/lib/postgresql/data" \
        -e POSTGRES_DB=coorddb --entrypoint bash "$image" -c '
            install -o postgres -m 600 /password /run/password
            install -o postgres -m 600 /dev/null /run/passfile && echo "*:*:*:postgres:$(cat /password)" >/run/passfile
            export POSTGRES_PASSWORD_FILE=/run/password PGPASSFILE=/run/passfile
            exec docker-entrypoint.sh postgres -c wal_level=logical' >/dev/null
    docker cp -q "$secrets/password" "${prefix}_$node:/password" 2>/dev/null || docker cp "$secrets/password" "${prefix}_$node:/password"
    docker start "${prefix}_$node" >/dev/null
done

coordinator() { psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres coorddb "$@"; }

for worker in 5 6 7 8; do
    until [ "$(coordinator -c "select citus_check_connection_to_node('${prefix}_worker_$worker', 5432)" 2>/dev/null)" = t ]; do
        sleep 0.1
    done
done

{
    for worker in 5 6 7 8; do echo "select citus_add_node('${prefix}_worker_$worker', 5432);"; done
    echo "select 1 / bool_and(coalesce(result, false))::integer from citus_check_cluster_node_health();"
    echo "select replicate_reference_tables('block_writes');"
    echo "select citus_rebalance_start();"
    echo "select citus_rebalance_wait();"
} | coordinator -o /dev/null
