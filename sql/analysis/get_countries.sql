-- On which worker each country lies, whether it has a shard of its own, and which shard of venta that is.
select pais.id,
       n.nodename || ':' || n.nodeport as node,
       s.shardminvalue = s.shardmaxvalue as pinned,
       s.shardid
from unnest(%(countries)s::integer[]) as pais (id)
join pg_dist_shard s on s.shardid = get_shard_id_for_distribution_column('venta', pais.id)
join pg_dist_placement p using (shardid)
join pg_dist_node n using (groupid)
order by 1
