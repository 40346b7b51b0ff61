update pg_catalog.pg_dist_authinfo shown
set rolename = role.rolname
from citus_pulumi.role noted
join pg_catalog.pg_roles role on role.oid = noted.oid
where shown.nodeid = 0
  and shown.rolename = noted.name
  and noted.name <> role.rolname
  and not exists (select from pg_catalog.pg_dist_authinfo other where other.nodeid = 0 and other.rolename = role.rolname)
