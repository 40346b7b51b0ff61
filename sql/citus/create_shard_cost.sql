-- What a shard costs, as its strategy has it; but a shard that was split off others counts for no more of what is counted for each
-- shard than its part of the hashes. Else tenants with shards of their own would leave a new cluster unbalanced. For one
-- transaction.
create function pg_temp.citus_pulumi_cost(bigint) returns real language sql stable as $$
    select ({cost}($1) - {each} * (1 - coalesce((
        select least(1, (s.shardmaxvalue::bigint - s.shardminvalue::bigint + 1) * c.shardcount / 4294967296.0)
        from pg_catalog.pg_dist_shard s
        join pg_catalog.pg_dist_partition t using (logicalrelid)
        join pg_catalog.pg_dist_colocation c using (colocationid)
        where s.shardid = $1
    ), 1)))::real
$$
