-- Since Citus 13.2, shards of one colocation group can move at the same time, too.
select pg_catalog.citus_rebalance_start('citus_pulumi', false, %(mode)s, parallel_transfer_colocated_shards := true)
