select nodename, nodeport, groupid
from pg_catalog.pg_dist_node
where groupid > 0 and noderole = 'primary'
order by groupid
