-- The roles whose passwords the nodes know, with their names as noted and as they are now; of a renamed one, what PostgreSQL
-- keeps of its password, too.
select noted.name, role.rolname as now, noted.wanted, case when role.rolname <> noted.name then role.rolpassword end
from citus_pulumi.role noted
left join pg_catalog.pg_authid role on role.oid = noted.oid
order by noted.name
