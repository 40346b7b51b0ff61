select n.nspname::text as schema, l.collname::text as name, l.collisdeterministic as deterministic
from pg_catalog.pg_collation l
join pg_catalog.pg_namespace n on n.oid = l.collnamespace
where n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
