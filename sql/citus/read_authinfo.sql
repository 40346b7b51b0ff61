-- Asked by the other nodes: what they show for the roles that are noted.
select coalesce(json_agg(json_build_object('rolename', shown.rolename, 'authinfo', shown.authinfo)), '[]')
from citus_pulumi.role noted
join pg_catalog.pg_roles role on role.oid = noted.oid
join pg_catalog.pg_dist_authinfo shown on shown.rolename = role.rolname and shown.nodeid = 0
where noted.wanted
