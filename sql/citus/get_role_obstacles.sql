-- Why a role cannot go: what it owns, what names it, and who is logged in as it.
select 'owns ' || case
           when d.dbid in (0, it.oid) then pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
           else 'objects of another database'
       end
from pg_catalog.pg_shdepend d
join pg_catalog.pg_roles r on r.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_authid'::regclass
cross join (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) it
where r.rolname = %(role)s and d.deptype = 'o'
union all
select 'is named by ' || pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_catalog.pg_shdepend d
join pg_catalog.pg_roles r on r.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_authid'::regclass
join pg_catalog.pg_database it on it.datname = pg_catalog.current_database() and it.oid = d.dbid
where r.rolname = %(role)s and d.deptype = 'r'
