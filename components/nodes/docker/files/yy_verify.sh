# Sourced once, when a node's data has been made, where nodes verify each other: from its first start on, a node logs in to those
# only that have a certificate of the stack's authority, and lets nobody of another machine in without TLS.
docker_process_sql --dbname "$POSTGRES_DB" <<'SQL'
alter system set citus.node_conninfo = 'sslmode=verify-full sslrootcert=/run/citus-pulumi/ca.crt';
SQL
sed -i -E 's/^host([[:space:]]+all[[:space:]]+all[[:space:]]+all[[:space:]].*)$/hostssl\1 RULE/' "$PGDATA/pg_hba.conf"
