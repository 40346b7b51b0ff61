#!/usr/bin/env bash
# Starts a node inside its container, every time the container starts. Runs as root, before the image's own entry point.
#
# Nodes log in to each other with a password. libpq takes it from a file that belongs to the server's user and that
# nobody else may read; the file that Docker uploads belongs to root. So each start makes the server's own from it, and
# the password stands in no environment variable, no image and no data folder.
set -euo pipefail

readonly secret=/etc/citus-pulumi/password
readonly folder=/run/citus-pulumi

escaped() { # as a field of a passfile: \ and : with a \ before them
    local text=${1//\\/\\\\}
    printf '%s' "${text//:/\\:}"
}

take() { # files that Docker has uploaded, as the server's own; those that there are not are passed over
    local file
    for file; do
        if [[ -f "/etc/citus-pulumi/$file" ]]; then
            install -o postgres -g postgres -m 0600 "/etc/citus-pulumi/$file" "$folder/$file"
        fi
    done
}

install -d -o postgres -g postgres -m 0700 "$folder"
install -o postgres -g postgres -m 0600 "$secret" "$folder/password"
install -o postgres -g postgres -m 0600 /dev/null "$folder/passfile"
printf '*:*:*:%s:%s\n' "$(escaped "${POSTGRES_USER}")" "$(escaped "$(<"$secret")")" >"$folder/passfile"

# The certificate by which it proves itself to clients, and to other nodes when it logs in to them.
if [[ -f /etc/citus-pulumi/server.pem ]]; then
    install -o postgres -g postgres -m 0600 /etc/citus-pulumi/server.pem "$folder/server.pem"
    install -o postgres -g postgres -m 0644 /etc/citus-pulumi/ca.crt "$folder/ca.crt"
    export PGSSLCERT="$folder/server.pem" PGSSLKEY="$folder/server.pem"
fi

# Where its backups go: read by pgBackRest, which archives the write-ahead log and is the server's child.
if [[ -f /etc/citus-pulumi/pgbackrest.conf ]]; then
    take pgbackrest.conf repository-ca.crt
    if [[ -d /var/lib/citus-pulumi/backups ]]; then # a folder or a volume, whose owner Docker has made
        install -d -o postgres -g postgres -m 0750 /var/lib/citus-pulumi/backups
    fi
    PGBACKREST_STANZA=$(sed -n 's/^\[\(.*\)\]$/\1/p' "$folder/pgbackrest.conf" | tail -n 1)
    export PGBACKREST_STANZA PGBACKREST_CONFIG="$folder/pgbackrest.conf"
fi

export POSTGRES_PASSWORD_FILE="$folder/password" PGPASSFILE="$folder/passfile"

# Citus's own sessions on other nodes begin with these, whatever a role sets: that bounds the session of a client, on the
# coordinator, and nothing twice. As in server.py.
options='-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0'
options+=' -c extra_float_digits=1 -c role=none'
if "$1" --describe-config | grep '^transaction_timeout' >/dev/null; then
    options+=' -c transaction_timeout=0'
fi
export PGOPTIONS="$options"

# Later minor versions of PostgreSQL let a shard be split or moved online only where this setting names Citus.
# grep reads to the end: one that stops at its match may end the other by SIGPIPE, and pipefail would take that for a no.
if "$1" --describe-config | grep '^output_plugin_libraries' >/dev/null; then
    set -- "$@" -c 'output_plugin_libraries=pgoutput,test_decoding,citus'
fi

# A node of a cluster that is made of a backup: its data is, once, before the image's own entry point would make it empty.
if [[ -f /etc/citus-pulumi/restore.env ]]; then
    for file in /etc/citus-pulumi/restore* /etc/citus-pulumi/*.sql; do
        take "${file##*/}"
    done
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB" gosu postgres bash "$folder/restore_node.sh" "$folder" "$PGDATA" "$@"
    # Only once: data that this container loses later must not come back as it was then.
    rm -f /etc/citus-pulumi/restore* /etc/citus-pulumi/*.sql "$folder"/restore* "$folder"/*.sql
fi
exec docker-entrypoint.sh "$@"
