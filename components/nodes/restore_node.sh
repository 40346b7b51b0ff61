#!/usr/bin/env bash
# Makes a node's data of a backup, before its server starts for the first time. Runs as the server's user; again after a kill.
#
#   restore_node.sh <folder> <data> <program of the server> [-c name=value …]
#
# The folder has what is to be done: restore.conf for pgBackRest, restore.env with STANZA, LABEL, POINT and TIMELINE,
# after_restore.sql with what it reads, and restore-hba.conf and restore-auto.conf, the configuration of a new node. The server runs
# on a socket of its own, without Citus, until it has come to the point and knows the nodes of its new cluster: with Citus it would
# reach out to those of the cluster that was backed up. What it writes is archived later, by the server that follows: a new timeline
# has to be known in the repository.
set -euo pipefail

readonly folder=$1 data=$2 server=$3
shift 3
# shellcheck source=/dev/null
source "$folder/restore.env"
readonly done_file="$data/citus-pulumi.restored" begun_file="$data/citus-pulumi.restoring"
bin=$(dirname "$(command -v "$server")")
readonly bin

if [[ -n $POINT ]]; then
    readonly goal=$POINT target=(--type=name --target="$POINT" --target-action=promote)
else # a worker that comes back alone, into a cluster that has gone on
    readonly goal="the end of its archive" target=(--type=default)
fi

if [[ -f $done_file && $(<"$done_file") == "$POINT $LABEL" ]]; then
    exit 0
fi
if [[ ! -f $begun_file ]]; then
    # pgBackRest removes its manifest when all files are there, and leaves recovery.signal for the server.
    if [[ -f $data/PG_VERSION && ! -f $data/backup.manifest ]]; then
        if [[ ! -f $data/recovery.signal ]]; then
            exit 0 # data that was not made by a restore, or that has gone on since
        fi
    else
        echo "restoring $STANZA to $goal, from the backup $LABEL"
        delta=(--no-delta)
        if [[ -n $(ls -A "$data" 2>/dev/null) ]]; then
            delta=(--delta)
        fi
        pgbackrest --config="$folder/restore.conf" --stanza="$STANZA" --set="$LABEL" --pg1-path="$data" "${delta[@]}" \
            "${target[@]}" --target-timeline="$TIMELINE" restore
    fi
    rm -f "$done_file"
    echo "$POINT" >"$begun_file"
fi

socket=$(mktemp -d /tmp/citus-pulumi.XXXXXX)
readonly socket
stop() {
    "$bin/pg_ctl" stop -D "$data" -m fast -s -w -t 3600 2>/dev/null || true
    rm -rf "$socket"
}
trap stop EXIT
printf 'local all all trust\n' >"$socket/pg_hba.conf"
sed -i "/^include = '..\/citus-pulumi.conf'/d" "$data/postgresql.conf"
"$server" -D "$data" "$@" -c listen_addresses= -c "unix_socket_directories=$socket" -c "hba_file=$socket/pg_hba.conf" -c port=5432 \
    -c shared_preload_libraries= -c archive_mode=on -c archive_command= -c hot_standby=off -c logging_collector=off \
    -c log_statement=none -c log_min_error_statement=panic >"$socket/log" 2>&1 &
readonly process=$!
until "$bin/pg_isready" -q -h "$socket" -p 5432; do
    if ! kill -0 "$process" 2>/dev/null; then
        echo "the server of $STANZA ended before it came to $goal:" >&2
        grep -v 'not accepting connections\|starting up\|Hot standby mode is disabled' "$socket/log" | tail -n 8 >&2
        exit 1
    fi
    sleep 0.2
done
readonly here=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$socket" -p 5432)
RESTORE_FOLDER=$folder "${here[@]}" -f "$folder/after_restore.sql" >/dev/null

# The rows of reference tables are those of the coordinator: as long as this copy does not answer, nobody can write to any of them.
if [[ -f $folder/restore-coordinator ]]; then
    there=(env "PGPASSFILE=$folder/restore-passfile" "$bin/psql" -X -q -v ON_ERROR_STOP=1 "$(<"$folder/restore-coordinator")")
    readonly there
    "${there[@]}" -A -t -z -0 -f "$folder/find_reference_copies.sql" >"$socket/copies"
    while IFS= read -r -d '' table && IFS= read -r -d '' copy && IFS= read -r -d '' columns; do
        "${there[@]}" -c "copy $table ($columns) to stdout" |
            "${here[@]}" -c "set session_replication_role = replica" -c begin -c "delete from $copy" \
                -c "copy $copy ($columns) from stdin" -c commit
    done <"$socket/copies"
fi
stop
trap - EXIT
cp "$folder/restore-hba.conf" "$data/pg_hba.conf"
# What was set by hand stays behind, for the settings say what a node has; but for the encryption that Citus has set up.
{
    grep -E '^ssl(_ciphers)? ' "$data/postgresql.auto.conf" || true
    cat "$folder/restore-auto.conf"
} >"$socket.conf"
install -m 0600 "$socket.conf" "$data/postgresql.auto.conf"
rm "$socket.conf"
rm -f "$begun_file"
echo "$POINT $LABEL" >"$done_file"
echo "$STANZA has come to $goal"
