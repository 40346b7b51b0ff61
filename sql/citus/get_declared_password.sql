-- The hash of what PostgreSQL kept of a role's password when it was declared last.
select pg_catalog.to_jsonb(noted) ->> 'declared'
from citus_pulumi.role noted
join pg_catalog.pg_roles role on role.oid = noted.oid
where role.rolname = %(role)s
