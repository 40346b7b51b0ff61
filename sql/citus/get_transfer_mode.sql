-- How to move a shard and those that lie with it. Online, by logical replication, needs a replica identity of every table
-- and takes seconds to set up; little data is copied sooner than that, with writes to it waiting meanwhile.
select case
           when sum(z.size) < %(small)s then 'block_writes'
           when bool_and(c.relreplident in ('f', 'i') or exists (
               select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary
           )) then 'auto'
           else 'block_writes'
       end
from pg_catalog.pg_dist_shard s
join pg_catalog.pg_dist_partition t using (logicalrelid)
join pg_catalog.pg_dist_partition other on other.colocationid = t.colocationid
join pg_catalog.pg_dist_shard lying on lying.logicalrelid = other.logicalrelid and lying.shardminvalue = s.shardminvalue
join pg_catalog.pg_class c on c.oid = other.logicalrelid and c.relkind = 'r'
left join (select shard_id, max(size) as size from pg_catalog.citus_shard_sizes() group by shard_id) z
    on z.shard_id = lying.shardid
where s.shardid = %(shard)s
