-- What everybody may do, and a role so too, beyond what it is to: on tables, views and sequences that no extension made, and in schemas.
select a.privilege_type, pg_catalog.format('%%I.%%I', n.nspname, c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral pg_catalog.aclexplode(c.relacl) a
where a.grantee = 0
  and n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', 'citus', 'citus_internal', 'columnar', 'columnar_internal')
  and not exists (
      select
      from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
  and not case
      when n.nspname = any(%(write)s::name[]) then a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
      else n.nspname = any(%(read)s::name[]) and a.privilege_type = 'SELECT'
  end
union all
select a.privilege_type, 'schema ' || pg_catalog.quote_ident(n.nspname)
from pg_catalog.pg_namespace n
cross join lateral pg_catalog.aclexplode(n.nspacl) a
where a.grantee = 0 and a.privilege_type = 'CREATE'
order by 1, 2
