with removed as (
    delete from pg_catalog.pg_dist_authinfo where nodeid = 0 and rolename = any(%(gone)s::name[])
),
forgotten as (
    delete from citus_pulumi.role noted
    where not noted.wanted or not exists (select from pg_catalog.pg_roles role where role.oid = noted.oid)
)
update citus_pulumi.role noted
set name = role.rolname
from pg_catalog.pg_roles role
where role.oid = noted.oid and role.rolname <> noted.name and noted.wanted
