-- The shard of a table whose range of hashes begins here.
select s.shardid as shard_id,
       s.shardminvalue::integer as lowest,
       s.shardmaxvalue::integer as highest,
       n.nodename as node_name,
       n.nodeport as node_port
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_placement p using (shardid)
join pg_catalog.pg_dist_node n using (groupid)
where s.logicalrelid = %(table)s::regclass and s.shardminvalue::integer = %(lowest)s
