-- The shard that holds the rows of one value of the distribution column, its range of hashes, and the node that holds it.
select s.shardid as shard_id,
       s.shardminvalue::integer as lowest,
       s.shardmaxvalue::integer as highest,
       n.nodename as node_name,
       n.nodeport as node_port
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_placement p using (shardid)
join pg_catalog.pg_dist_node n using (groupid)
where s.shardid = pg_catalog.get_shard_id_for_distribution_column(%(table)s::regclass, %(value)s::text)
