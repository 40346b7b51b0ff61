-- How to move a shard and those that lie with it, and why not online where there is much to copy. Online, by logical
-- replication, needs a replica identity of every table, knows nothing of unlogged and columnar ones, and takes seconds to set
-- up; little data is copied sooner than that, with writes to it waiting meanwhile.
select case when size < %(small)s or reason is not null then 'block_writes' else 'auto' end,
       case when size >= %(small)s then reason end
from (
    select coalesce(sum(z.size), 0) as size,
           string_agg(distinct c.oid::regclass || case when c.relpersistence <> 'p' then ' is unlogged'
                                                       when am.amname <> 'heap' then ' is ' || am.amname
                                                       else ' has no replica identity' end, ', ')
               filter (where c.relpersistence <> 'p'
                          or am.amname <> 'heap'
                          or (c.relreplident <> 'f' and pg_catalog.pg_get_replica_identity_index(c.oid) is null)) as reason
    from pg_catalog.pg_dist_shard s
    join pg_catalog.pg_dist_partition t using (logicalrelid)
    join pg_catalog.pg_dist_partition other on other.colocationid = t.colocationid
    join pg_catalog.pg_dist_shard lying
        on lying.logicalrelid = other.logicalrelid and lying.shardminvalue is not distinct from s.shardminvalue
    join pg_catalog.pg_class c on c.oid = other.logicalrelid and c.relkind = 'r'
    left join pg_catalog.pg_am am on am.oid = c.relam
    left join (select shard_id, max(size) as size from pg_catalog.citus_shard_sizes() group by shard_id) z
        on z.shard_id = lying.shardid
    where s.shardid = %(shard)s
) shards
