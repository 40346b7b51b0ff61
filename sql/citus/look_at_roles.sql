-- Roles that log in, but those of PostgreSQL and this session's own, and on how many objects each has privileges.
select r.rolname,
       coalesce(r.oid::bigint = any(%(declared)s::bigint[]), false),
       (
           select count(distinct (d.classid, d.objid))
           from pg_catalog.pg_shdepend d
           where d.refclassid = 'pg_catalog.pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'a'
       )
from pg_catalog.pg_roles r
where r.rolname !~ '^pg_' and r.rolname <> session_user
order by 1
