-- The shards of all colocation groups but these.
select s.shardid
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_partition t using (logicalrelid)
where t.colocationid <> all(%(groups)s::integer[])
