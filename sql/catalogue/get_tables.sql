-- Tables in the order in which they were created, but for those of extensions and of sessions.
select n.nspname::text as schema,
       c.relname::text as name,
       c.relpersistence::text as persistence,
       c.relispartition as partition,
       c.relkind = 'p' as partitioned,
       (select array_agg(array[pn.nspname::text, p.relname::text] order by i.inhseqno)
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class p on p.oid = i.inhparent
        join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
        where i.inhrelid = c.oid) as parents,
       (select array_agg(coalesce(a.attname::text, '') order by o.n)
        from pg_catalog.pg_partitioned_table t
        cross join unnest(t.partattrs::int2[]) with ordinality o (attnum, n)
        left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = o.attnum and o.attnum <> 0
        where t.partrelid = c.oid) as partition_columns
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
  and c.relpersistence <> 't'
  and n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
  and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
order by c.oid
