-- INVALID indexes that an interrupted REINDEX CONCURRENTLY has left of a table on the coordinator.
select n.nspname, c.relname
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where i.indrelid = pg_catalog.to_regclass(%(table_name)s) and not i.indisvalid and c.relname ~ '_cc(new|old)\d*$'
