-- How Citus knows a schema: its colocation group, where it is distributed, and the worker that has its shards.
select s.colocationid as colocation_group,
       placed.shardid as shard_id,
       placed.nodename as node_name,
       placed.nodeport as node_port
from pg_catalog.pg_namespace n
left join pg_catalog.pg_dist_schema s on s.schemaid = n.oid
left join lateral (
    select h.shardid, w.nodename, w.nodeport
    from pg_catalog.pg_dist_partition t
    join pg_catalog.pg_dist_shard h using (logicalrelid)
    join pg_catalog.pg_dist_placement p using (shardid)
    join pg_catalog.pg_dist_node w using (groupid)
    where t.colocationid = s.colocationid
    order by h.shardid
    limit 1
) placed on true
where n.nspname = %(schema)s
