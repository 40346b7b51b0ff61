-- Colocation groups whose shards cannot be moved online, with the reason: logical replication needs a replica identity of every
-- table, and knows nothing of unlogged and columnar ones.
select t.colocationid,
       string_agg(c.oid::regclass || case when c.relpersistence <> 'p' then ' is unlogged'
                                          when am.amname <> 'heap' then ' is ' || am.amname
                                          else ' has no replica identity' end, ', ' order by c.oid::regclass::text)
from pg_catalog.pg_dist_partition t
join pg_catalog.pg_class c on c.oid = t.logicalrelid and c.relkind = 'r'
left join pg_catalog.pg_am am on am.oid = c.relam
where t.colocationid = any(%(groups)s::integer[])
  and (c.relpersistence <> 'p'
       or am.amname <> 'heap'
       or (c.relreplident <> 'f' and pg_catalog.pg_get_replica_identity_index(c.oid) is null))
group by t.colocationid
