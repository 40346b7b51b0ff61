-- Types that are not PostgreSQL's own, nor an extension's; of what each consists.
select n.nspname::text as schema,
       t.typname::text as name,
       case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'c' then 'composite' else 'range' end as kind,
       coalesce(
           case when t.typtype = 'd' then array[(
               select case when bn.nspname in ('pg_catalog', 'public') then '' else quote_ident(bn.nspname) || '.' end || b.typname
               from pg_catalog.pg_type b join pg_catalog.pg_namespace bn on bn.oid = b.typnamespace where b.oid = t.typbasetype
           )] end,
           case when t.typtype = 'c' then (
               select array_agg(
                   case when an.nspname in ('pg_catalog', 'public') then '' else quote_ident(an.nspname) || '.' end || b.typname
                   order by a.attnum
               )
               from pg_catalog.pg_attribute a
               join pg_catalog.pg_type b on b.oid = a.atttypid
               join pg_catalog.pg_namespace an on an.oid = b.typnamespace
               where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
           ) end
       ) as parts,
       coalesce((
           select l.collname::text from pg_catalog.pg_collation l
           join pg_catalog.pg_type b on b.oid = t.typbasetype
           where l.oid = t.typcollation and t.typtype = 'd' and t.typcollation <> b.typcollation
       ), '') as collation
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_class c on c.oid = t.typrelid
where (t.typtype in ('e', 'd', 'r', 'm') or (t.typtype = 'c' and c.relkind = 'c'))
  and n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
  and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
  )
order by t.oid
