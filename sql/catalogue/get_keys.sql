-- Primary keys, unique and exclusion constraints, unique indexes; one of a partition with the index that it is derived from.
select n.nspname::text as schema,
       c.relname::text as table,
       i.relname::text as name,
       case when x.indisprimary then 'primary key' when x.indisexclusion then 'exclude'
            when k.contype = 'u' then 'unique' else 'unique index' end as kind,
       (select array_agg(a.attname::text order by o.n)
        from unnest(x.indkey::int2[]) with ordinality o (attnum, n)
        left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = o.attnum and o.attnum <> 0
        where o.n <= x.indnkeyatts) as columns,
       (select array_agg(a.attname::text order by o.n)
        from unnest(x.indkey::int2[]) with ordinality o (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = o.attnum
        where o.n > x.indnkeyatts) as included,
       (select array_agg(a.attname::text order by o.n)
        from unnest(k.conkey, k.conexclop) with ordinality o (attnum, operator, n)
        join pg_catalog.pg_operator op on op.oid = o.operator and op.oprname <> '='
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = o.attnum and o.attnum <> 0) as unequal,
       not x.indisexclusion and x.indimmediate and x.indpred is null and x.indexprs is null as referable,
       x.indexrelid::int8 as index,
       (select h.inhparent::int8 from pg_catalog.pg_inherits h where h.inhrelid = x.indexrelid) as derived
from pg_catalog.pg_index x
join pg_catalog.pg_class i on i.oid = x.indexrelid
join pg_catalog.pg_class c on c.oid = x.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u', 'x')
where c.relkind in ('r', 'p')
  and (x.indisunique or x.indisexclusion)
  and n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
order by x.indexrelid
