-- The bytes of all shards on each node.
select n.nodename || ':' || n.nodeport, coalesce(sum(z.size), 0)::bigint
from pg_catalog.pg_dist_node n
join pg_catalog.pg_dist_placement p using (groupid)
join (select shard_id, max(size) as size from pg_catalog.citus_shard_sizes() group by shard_id) z on z.shard_id = p.shardid
group by 1
