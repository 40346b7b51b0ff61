-- Whether Citus can move several shards of one colocation group at a time: since 13.2.
select exists (
    select
    from pg_catalog.pg_proc
    where pronamespace = 'pg_catalog'::regnamespace
      and proname = 'citus_rebalance_start'
      and 'parallel_transfer_colocated_shards' = any(proargnames)
)
