-- The type of a table's distribution column, as a cast takes it.
select pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_dist_partition t
join pg_catalog.pg_attribute a on a.attrelid = t.logicalrelid
where t.logicalrelid = %(table)s::regclass
  and a.attname = pg_catalog.column_to_column_name(t.logicalrelid, t.partkey)
