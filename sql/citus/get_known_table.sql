-- What a statement finds under a name: the relation's schema and name, what Citus has made of it, its columns, its key.
select
    n.nspname as schema,
    c.relname as name,
    case
        when p.partmethod = 'h' then 'distributed'
        when p.repmodel = 't' then 'reference'
        when p.partmethod = 'n' and p.colocationid <> 0 then 'single shard'
        when p.partmethod = 'n' then 'managed'
        else 'local'
    end as kind,
    (
        select array_agg(a.attname::text order by a.attnum) from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns,
    (
        select array_agg(a.attname::text order by k.place)
        from pg_catalog.pg_constraint o
        cross join unnest(o.conkey) with ordinality k (number, place)
        join pg_catalog.pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number
        where o.conrelid = c.oid and o.contype = 'p'
    ) as primary_key
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_dist_partition p on p.logicalrelid = c.oid
where c.oid = pg_catalog.to_regclass(%(name)s)
