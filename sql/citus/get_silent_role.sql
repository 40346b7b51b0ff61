-- A role that may log in with a password, and for which the coordinator shows the other nodes nothing.
select role.oid::bigint
from pg_catalog.pg_authid role
where role.rolname = %(name)s
  and role.rolname <> session_user
  and role.rolcanlogin
  and role.rolpassword is not null
  and not exists (select from pg_catalog.pg_dist_authinfo shown where shown.rolename = role.rolname)
