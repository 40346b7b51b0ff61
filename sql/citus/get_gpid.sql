-- By which number all nodes know what a backend of the coordinator has them do.
select pg_catalog.citus_calculate_gpid((select nodeid from pg_catalog.pg_dist_node where groupid = 0), %(process)s)
