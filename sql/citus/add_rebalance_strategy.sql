-- A strategy of our own, for one transaction: another one with its functions or its threshold replaced.
insert into pg_catalog.pg_dist_rebalance_strategy
    (name, default_strategy, shard_cost_function, node_capacity_function, shard_allowed_on_node_function,
     default_threshold, minimum_threshold, improvement_threshold)
select 'citus_pulumi',
       false,
       coalesce(to_regproc(%(cost)s), shard_cost_function),
       node_capacity_function,
       'pg_temp.citus_pulumi_allowed'::regproc,
       coalesce(%(threshold)s::real, default_threshold),
       least(coalesce(%(threshold)s::real, minimum_threshold), minimum_threshold),
       improvement_threshold
from pg_catalog.pg_dist_rebalance_strategy
where name = %(strategy)s
