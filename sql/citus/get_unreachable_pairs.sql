-- NULL means that the first of the two cannot be reached at all.
select format('%s:%s → %s:%s', from_nodename, from_nodeport, to_nodename, to_nodeport)
from pg_catalog.citus_check_cluster_node_health()
where not coalesce(result, false)
order by 1
