select count(*)
from pg_catalog.pg_dist_placement p
join pg_catalog.pg_dist_node n using (groupid)
join pg_catalog.pg_dist_shard s using (shardid)
join pg_catalog.pg_dist_partition t using (logicalrelid)
where n.nodename = %(name)s and n.nodeport = %(port)s and t.repmodel <> 't' and t.colocationid <> 0
