#!/usr/bin/env bash
# The yardstick: what `up` does, as a plain script of docker and psql. One coordinator, four workers, the retail schema,
# sharded and verified. Takes a prefix for all names and the port of the coordinator; leaves the cluster running.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly prefix=$1 port=$2 image=citusdata/citus:12.1
export PGPASSWORD=0000
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
printf '%s' "$PGPASSWORD" >"$secrets/password"

docker network create --label bench="$prefix" "$prefix" >/dev/null
for node in coordinator worker_1 worker_2 worker_3 worker_4; do
    publish=()
    [ "$node" = coordinator ] && publish=(-p "127.0.0.1:$port:5432")
    docker create --name "${prefix}_$node" --label bench="$prefix" --network "$prefix" "${publish[@]}" \
        --restart unless-stopped --shm-size 256m --stop-timeout 60 -v "${prefix}_${node}_data:/var/lib/postgresql/data" \
        -e POSTGRES_DB=coorddb -e POSTGRES_INITDB_ARGS="${INITDB_ARGS:-}" --entrypoint bash "$image" -c '
            install -o postgres -m 600 /password /run/password
            install -o postgres -m 600 /dev/null /run/passfile && echo "*:*:*:postgres:$(cat /password)" >/run/passfile
            export POSTGRES_PASSWORD_FILE=/run/password PGPASSFILE=/run/passfile
            exec docker-entrypoint.sh postgres -c wal_level=logical' >/dev/null
    docker cp -q "$secrets/password" "${prefix}_$node:/password" 2>/dev/null || docker cp "$secrets/password" "${prefix}_$node:/password"
    docker start "${prefix}_$node" >/dev/null
done

coordinator() { psql -X -q -At -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres coorddb "$@"; }

until coordinator -c 'select 1' >/dev/null 2>&1; do sleep 0.1; done
for worker in 1 2 3 4; do
    until [ "$(coordinator -c "select citus_check_connection_to_node('${prefix}_worker_$worker', 5432)" 2>/dev/null)" = t ]; do
        sleep 0.1
    done
done

{
    echo "select citus_set_coordinator_host('${prefix}_coordinator', 5432);"
    for worker in 1 2 3 4; do echo "select citus_add_node('${prefix}_worker_$worker', 5432);"; done
    echo "select 1 / bool_and(coalesce(result, false))::integer from citus_check_cluster_node_health();"
    cat sql/schema/*.sql benchmarks/plain.sql
} | coordinator -o /dev/null
