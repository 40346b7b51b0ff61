-- Every table that Citus knows: what a statement locks before it goes to a node.
select n.nspname, c.relname
from pg_catalog.pg_dist_partition p
join pg_catalog.pg_class c on c.oid = p.logicalrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
order by p.logicalrelid
