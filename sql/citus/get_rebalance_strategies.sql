-- The rebalance strategies that the cluster knows, its default one first, with their functions that say where a shard may be and
-- what it costs, each as schema and name.
select s.name::text, array[an.nspname::text, a.proname::text], array[cn.nspname::text, c.proname::text]
from pg_catalog.pg_dist_rebalance_strategy s
join pg_catalog.pg_proc a on a.oid = s.shard_allowed_on_node_function
join pg_catalog.pg_namespace an on an.oid = a.pronamespace
join pg_catalog.pg_proc c on c.oid = s.shard_cost_function
join pg_catalog.pg_namespace cn on cn.oid = c.pronamespace
order by s.default_strategy desc, s.name
