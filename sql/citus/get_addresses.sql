-- Where each registered node is, the coordinator's group being 0.
select groupid, nodename, nodeport from pg_catalog.pg_dist_node where noderole = 'primary' order by groupid
