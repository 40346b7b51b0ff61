-- Views and foreign tables, and the tables on whose primary key each depends.
select n.nspname::text as schema,
       c.relname::text as name,
       case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'foreign table' end as kind,
       (select array_agg(distinct array[kn.nspname::text, kc.relname::text])
        from pg_catalog.pg_rewrite r
        join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_catalog.pg_constraint'::regclass
        join pg_catalog.pg_constraint k on k.oid = d.refobjid and k.contype = 'p'
        join pg_catalog.pg_class kc on kc.oid = k.conrelid
        join pg_catalog.pg_namespace kn on kn.oid = kc.relnamespace
        where r.ev_class = c.oid) as keys
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm', 'f')
  and n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
  and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
order by c.oid
