#!/bin/sh
# Starts the schedule of backups inside its container, every time the container starts. Runs as root, for cron does.
set -eu

secret=/etc/citus-pulumi
folder=/run/citus-pulumi

umask 077
mkdir -p "$folder"
cp "$secret/passfile" "$folder/passfile"
install -m 0644 "$secret/crontab" /etc/cron.d/citus-pulumi
echo "backups at their times:"
grep root /etc/cron.d/citus-pulumi | sed 's/ root psql .*call / /; s/" .*//'
exec cron -f
