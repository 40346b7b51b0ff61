-- Only the keys that a person declared: those that PostgreSQL derives for partitions have a parent of their own.
select n.nspname::text as schema,
       c.relname::text as table,
       k.conname::text as name,
       (select array_agg(a.attname::text order by o.n)
        from unnest(k.conkey) with ordinality o (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.attnum) as columns,
       array[pn.nspname::text, p.relname::text] as parent,
       (select array_agg(a.attname::text order by o.n)
        from unnest(k.confkey) with ordinality o (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.attnum) as referenced,
       k.confupdtype::text as on_update,
       k.confdeltype::text as on_delete,
       k.confmatchtype::text as match,
       -- Since PostgreSQL 15; read as JSON, for the column to be absent before.
       (select array_agg(a.attname::text)
        from pg_catalog.jsonb_array_elements(nullif(pg_catalog.to_jsonb(k) -> 'confdelsetcols', 'null')) o (attnum)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.attnum::int2) as set_columns
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class p on p.oid = k.confrelid
join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
where k.contype = 'f' and k.conparentid = 0
order by k.oid
