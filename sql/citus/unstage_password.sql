delete from pg_catalog.pg_dist_authinfo where nodeid = -2 and rolename = %(role)s
