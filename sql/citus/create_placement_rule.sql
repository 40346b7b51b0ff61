-- Where a rebalance may place a shard: where its strategy allows it, and the shards that are fixed only where they are. For one
-- transaction.
create function pg_temp.citus_pulumi_allowed(bigint, integer) returns boolean language sql stable as $$
    select {allowed}($1, $2)
       and ($1 <> all ({fixed}::bigint[])
            or exists (
                select
                from pg_catalog.pg_dist_placement p
                join pg_catalog.pg_dist_node n using (groupid)
                where p.shardid = $1 and n.nodeid = $2
            ))
$$
