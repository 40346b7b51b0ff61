-- Those of the noted roles that may log in now.
select role.rolname
from citus_pulumi.role noted
join pg_catalog.pg_roles role on role.oid = noted.oid
where noted.wanted
  and role.rolcanlogin
  and coalesce(role.rolvaliduntil > pg_catalog.now(), true)
  and exists (
      select from pg_catalog.pg_dist_authinfo shown where shown.rolename = role.rolname and shown.nodeid = 0
  )
order by 1
