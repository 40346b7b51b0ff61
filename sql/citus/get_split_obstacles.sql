-- Tables that lie in one shard, of which Citus would copy rows into wrong parts when it splits it. It takes the number of the
-- distribution column from the table as the shard's worker has it, and counts neither generated nor dropped columns in
-- the rows. A column that was dropped before the table was distributed is on the coordinator alone: the third column is what
-- the worker is to be asked.
select string_agg(name, ', ') filter (where generated),
       string_agg(name, ', ') filter (where dropped),
       format(
           $$
               select count(*)
               from unnest(%%L::text[], %%L::text[]) t (name, key)
               join pg_catalog.pg_attribute k on k.attrelid = t.name::regclass and k.attname = t.key
               join pg_catalog.pg_attribute a
                   on a.attrelid = k.attrelid and a.attnum > 0 and a.attnum < k.attnum and a.attisdropped
           $$,
           array_agg(name) filter (where dropped),
           array_agg(key) filter (where dropped)
       )
from (
    select format('%%I.%%I', x.nspname, c.relname) as name, k.attname as key, before.generated, before.dropped
    from pg_catalog.pg_dist_shard s
    join pg_catalog.pg_dist_partition t using (logicalrelid)
    join pg_catalog.pg_dist_partition other on other.colocationid = t.colocationid
    join pg_catalog.pg_class c on c.oid = other.logicalrelid and c.relkind = 'r'
    join pg_catalog.pg_namespace x on x.oid = c.relnamespace
    join pg_catalog.pg_attribute k
        on k.attrelid = c.oid and k.attname = pg_catalog.column_to_column_name(c.oid::regclass, other.partkey)
    cross join lateral (
        select bool_or(a.attgenerated <> '') as generated, bool_or(a.attisdropped) as dropped
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and a.attnum < k.attnum
    ) before
    where s.shardid = %(shard)s
) tables
