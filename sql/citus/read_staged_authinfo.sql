-- Asked by the other nodes: the passwords that roles are about to get.
select coalesce(json_agg(json_build_object('rolename', rolename, 'authinfo', authinfo)), '[]')
from pg_catalog.pg_dist_authinfo
where nodeid = -2
