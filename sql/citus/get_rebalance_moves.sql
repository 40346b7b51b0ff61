-- The moves that Citus plans, each with all the shards that are colocated.
select t.colocationid,
       p.sourcename || ':' || p.sourceport,
       p.targetname || ':' || p.targetport,
       array_agg(p.shardid order by p.shardid)
from pg_catalog.get_rebalance_table_shards_plan(rebalance_strategy := 'citus_pulumi') with ordinality
         p (table_name, shardid, shard_size, sourcename, sourceport, targetname, targetport, step)
join pg_catalog.pg_dist_partition t on t.logicalrelid = p.table_name
join pg_catalog.pg_dist_shard s using (shardid)
group by t.colocationid, s.shardminvalue, p.sourcename, p.sourceport, p.targetname, p.targetport
order by min(p.step)
