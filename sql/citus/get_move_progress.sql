-- What the moves that run are at: the process of each, the bytes that have reached the target, and all that are to.
select sessionid,
       min(status),
       min(sourcename || ':' || sourceport),
       min(targetname || ':' || targetport),
       coalesce(sum(target_shard_size), 0)::bigint,
       coalesce(sum(source_shard_size), 0)::bigint
from pg_catalog.get_rebalance_progress()
group by sessionid
