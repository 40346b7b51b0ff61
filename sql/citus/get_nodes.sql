select (select nodename || ':' || nodeport from pg_catalog.pg_dist_node where groupid = 0) as coordinator,
       nodename,
       nodeport
from pg_catalog.pg_dist_node
where isactive
order by nodeid
