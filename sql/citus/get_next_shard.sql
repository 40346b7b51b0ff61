-- A shard that a node holds, with how many shards of its colocation group, and how many bytes in all, the other nodes hold.
with held as (
    select t.colocationid, t.logicalrelid, s.shardid, n.nodename || ':' || n.nodeport as node
    from pg_catalog.pg_dist_partition t
    join pg_catalog.pg_dist_shard s using (logicalrelid)
    join pg_catalog.pg_dist_placement p using (shardid)
    join pg_catalog.pg_dist_node n using (groupid)
    where t.repmodel <> 't' and t.colocationid <> 0
), sizes as (
    select shard_id, max(size) as size from pg_catalog.citus_shard_sizes() group by shard_id
)
select x.nspname,
       c.relname,
       next.shardid,
       (select json_object_agg(node, n) from (
           select node, count(*) as n from held where held.colocationid = next.colocationid group by node
       ) counted),
       (select json_object_agg(node, n) from (
           select node, sum(coalesce(size, 0)) as n from held left join sizes on shard_id = shardid group by node
       ) weighed)
from (select * from held where node = %(node)s order by shardid limit 1) next
join pg_catalog.pg_class c on c.oid = next.logicalrelid
join pg_catalog.pg_namespace x on x.oid = c.relnamespace
