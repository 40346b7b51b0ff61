-- Types are named as the parser of SQL files names them: without pg_catalog and public, an array with brackets.
select n.nspname::text as schema,
       c.relname::text as table,
       a.attname::text as name,
       case when tn.nspname in ('pg_catalog', 'public') then '' else quote_ident(tn.nspname) || '.' end
           || case when tn.nspname = 'pg_catalog' then coalesce(e.typname || '[]', t.typname)
                   else coalesce(quote_ident(e.typname) || '[]', quote_ident(t.typname)) end as type,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as declared,
       a.attidentity <> '' as identity,
       a.attgenerated <> '' as generated,
       a.attnotnull as not_null,
       coalesce(case when a.attcollation <> t.typcollation then l.collname::text end, '') as collation,
       case when t.typname = 'numeric' and tn.nspname = 'pg_catalog' and a.atttypmod >= 4
           then (((a.atttypmod - 4) & 2047) # 1024) - 1024 else 0 end as scale,
       (select array[sn.nspname::text, s.relname::text]
        from pg_catalog.pg_attrdef d
        join pg_catalog.pg_depend g on g.classid = 'pg_catalog.pg_attrdef'::regclass and g.objid = d.oid
            and g.refclassid = 'pg_catalog.pg_class'::regclass
        join pg_catalog.pg_class s on s.oid = g.refobjid and s.relkind = 'S'
        join pg_catalog.pg_namespace sn on sn.oid = s.relnamespace
        where d.adrelid = a.attrelid and d.adnum = a.attnum
        limit 1) as sequence
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_type t on t.oid = a.atttypid
join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
left join pg_catalog.pg_type e on e.oid = t.typelem and t.typname = '_' || e.typname
left join pg_catalog.pg_collation l on l.oid = a.attcollation
where c.relkind in ('r', 'p')
  and n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
  and a.attnum > 0
  and not a.attisdropped
order by a.attrelid, a.attnum
