#!/bin/sh
# Starts a PgBouncer inside its container, every time the container starts. Runs as root, in place of the image's own entry point.
#
# PgBouncer refuses to run as root, and the files that Docker uploads belong to root: each start gives the pooler's own user its own.
set -eu

secret=/etc/citus-pulumi
folder=/run/citus-pulumi

user=nobody
for name in pgbouncer postgres; do
    if id "$name" >/dev/null 2>&1; then
        user=$name
        break
    fi
done

umask 077
mkdir -p "$folder"
cp "$secret/pgbouncer.ini" "$secret/userlist.txt" "$secret/server.crt" "$secret/server.key" "$folder/"
chown -R "$user" "$folder"
exec pgbouncer --user="$user" "$folder/pgbouncer.ini"
