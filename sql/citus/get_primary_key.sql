select k.conname as name,
       (select array_agg(a.attname::text order by o.n)
        from unnest(i.indkey::int2[]) with ordinality o (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.attnum
        where o.n <= i.indnkeyatts) as columns,
       (select array_agg(a.attname::text order by o.n)
        from unnest(i.indkey::int2[]) with ordinality o (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.attnum
        where o.n > i.indnkeyatts) as included,
       k.condeferrable as deferrable,
       k.condeferred as deferred,
       pg_catalog.obj_description(k.oid, 'pg_constraint') as comment,
       pg_catalog.obj_description(x.oid, 'pg_class') as index_comment,
       x.reloptions as options,
       (select s.spcname::text from pg_catalog.pg_tablespace s where s.oid = x.reltablespace) as tablespace,
       member.clustered,
       member.replica_identity
from pg_catalog.pg_constraint k
join pg_catalog.pg_index i on i.indexrelid = k.conindid
join pg_catalog.pg_class x on x.oid = k.conindid
cross join lateral (
    -- The table itself, and its partitions, which have indexes of their own.
    select array_agg(array[mn.nspname::text, m.relname::text]) filter (where mi.indisclustered) as clustered,
           array_agg(array[mn.nspname::text, m.relname::text]) filter (where mi.indisreplident) as replica_identity
    from (select k.conindid as oid union select relid from pg_catalog.pg_partition_tree(k.conindid)) own
    join pg_catalog.pg_index mi on mi.indexrelid = own.oid
    join pg_catalog.pg_class m on m.oid = mi.indrelid
    join pg_catalog.pg_namespace mn on mn.oid = m.relnamespace
) member
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where k.contype = 'p' and n.nspname = %(schema)s and c.relname = %(name)s
