-- The shard that holds the rows of one value of the distribution column, and the node that holds the shard.
select s.shardid as shard_id,
       s.shardminvalue = s.shardmaxvalue as isolated,
       n.nodename as node_name,
       n.nodeport as node_port
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_placement p using (shardid)
join pg_catalog.pg_dist_node n using (groupid)
where s.shardid = pg_catalog.get_shard_id_for_distribution_column(%(table)s::regclass, %(value)s::text)
