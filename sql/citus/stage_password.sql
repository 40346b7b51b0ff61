-- The password that a role is about to get, where Citus looks for none: there is no node -2.
insert into pg_catalog.pg_dist_authinfo (nodeid, rolename, authinfo) values (-2, %(role)s, %(authinfo)s)
on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo
