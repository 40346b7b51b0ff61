-- An index on the coordinator: the schema and the name of its table, and whether it is valid.
select n.nspname, t.relname, i.indisvalid and i.indisready
from pg_catalog.pg_index i
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where i.indexrelid = pg_catalog.to_regclass(%(index_name)s)
