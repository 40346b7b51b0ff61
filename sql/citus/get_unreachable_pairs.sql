-- NULL means that the first of the two cannot be reached at all.
select format('%s → %s', from_nodename, to_nodename)
from pg_catalog.citus_check_cluster_node_health()
where not coalesce(result, false)
order by 1
