select n.nspname, c.relname
from pg_catalog.pg_partition_tree(%(table)s::regclass) t
join pg_catalog.pg_class c on c.oid = t.relid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.level > 0
order by t.level, 1, 2
