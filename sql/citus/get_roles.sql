-- The roles whose passwords the nodes know, with their names as noted and as they are now.
select noted.name, role.rolname as now, noted.wanted
from citus_pulumi.role noted
left join pg_catalog.pg_roles role on role.oid = noted.oid
order by noted.name
