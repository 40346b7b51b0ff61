-- Why a role cannot go: what it owns, and what names it. Citus hides shards from this session: what is on them goes with their tables.
select d.deptype = 'o',
       case
           when d.dbid in (0, it.oid) then pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
           else 'objects of another database'
       end
from pg_catalog.pg_shdepend d
join pg_catalog.pg_roles r on r.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_authid'::regclass
join pg_catalog.pg_database it on it.datname = pg_catalog.current_database()
left join pg_catalog.pg_policy p on d.classid = 'pg_catalog.pg_policy'::regclass and p.oid = d.objid
where r.rolname = %(role)s
  and d.deptype in ('o', 'r')
  and (
      d.dbid <> it.oid
      or d.classid not in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_policy'::regclass)
      or exists (select from pg_catalog.pg_class c where c.oid = coalesce(p.polrelid, d.objid))
  )
order by 1, 2
