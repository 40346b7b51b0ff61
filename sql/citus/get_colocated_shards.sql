-- These shards, and all those that are colocated with one of them.
select other.shardid
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_partition t using (logicalrelid)
join pg_catalog.pg_dist_partition o using (colocationid)
join pg_catalog.pg_dist_shard other
    on other.logicalrelid = o.logicalrelid and other.shardminvalue is not distinct from s.shardminvalue
where s.shardid = any(%(shards)s::bigint[])
