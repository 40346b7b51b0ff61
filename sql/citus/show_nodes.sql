-- For a person: each node, and the shards of distributed tables that it holds.
select n.nodename || ':' || n.nodeport,
       n.groupid,
       case when n.groupid = 0 then 'coordinator' when n.isactive then 'active' else 'inactive' end,
       (select count(*)
        from pg_catalog.pg_dist_placement p
        join pg_catalog.pg_dist_shard s using (shardid)
        join pg_catalog.pg_dist_partition t using (logicalrelid)
        where p.groupid = n.groupid and t.repmodel <> 't' and t.colocationid <> 0)
from pg_catalog.pg_dist_node n
order by n.groupid
