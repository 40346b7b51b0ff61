select pg_catalog.citus_rebalance_start('citus_pulumi', false, %(mode)s)
