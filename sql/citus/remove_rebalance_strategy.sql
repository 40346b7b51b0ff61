delete from pg_catalog.pg_dist_rebalance_strategy where name = 'citus_pulumi'
