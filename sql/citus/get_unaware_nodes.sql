-- Nodes that Citus has still to tell of a change of pg_dist_node; a process of its own does that.
select nodename, nodeport
from pg_catalog.pg_dist_node
where hasmetadata and isactive and not metadatasynced
order by groupid
