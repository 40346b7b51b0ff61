-- How many rows each table of the distributed schemas has, counted on the shards, and on which node.
select n.nspname, c.relname, p.nodename || ':' || p.nodeport, p.result::bigint
from pg_catalog.pg_dist_schema s
join pg_catalog.pg_namespace n on n.oid = s.schemaid
join pg_catalog.pg_dist_partition t on t.colocationid = s.colocationid
join pg_catalog.pg_class c on c.oid = t.logicalrelid and not c.relispartition
cross join lateral pg_catalog.run_command_on_placements(t.logicalrelid, 'select count(*) from %%s') p
where n.nspname = any(%(schemas)s::text[])
order by 1, 2
