-- The shards of the tables of these schemas.
select s.shardid
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_class c on c.oid = s.logicalrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s::text[])
