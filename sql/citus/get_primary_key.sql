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
       pg_catalog.obj_description(k.oid, 'pg_constraint') as comment
from pg_catalog.pg_constraint k
join pg_catalog.pg_index i on i.indexrelid = k.conindid
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where k.contype = 'p' and n.nspname = %(schema)s and c.relname = %(name)s
