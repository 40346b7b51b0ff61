-- Roles that log in with a password and may use a sharded table, for which the nodes show each other nothing.
select role.rolname
from pg_catalog.pg_authid role
where role.rolcanlogin
  and role.rolpassword is not null
  and role.rolname <> session_user
  and not exists (select from pg_catalog.pg_dist_authinfo shown where shown.rolename = role.rolname)
  and exists (
      select
      from pg_catalog.pg_dist_partition it
      where it.colocationid <> 0
        and pg_catalog.has_table_privilege(role.oid, it.logicalrelid, 'select, insert, update, delete')
  )
order by 1
