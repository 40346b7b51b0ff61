select n.nspname, c.relname, pg_catalog.column_to_column_name(t.logicalrelid, t.partkey)
from pg_catalog.pg_dist_partition t
join pg_catalog.pg_class c on c.oid = t.logicalrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.partmethod = 'h'
  and not c.relispartition
  and t.colocationid = (select colocationid from pg_catalog.pg_dist_partition where logicalrelid = %(table)s::regclass)
order by 1, 2
