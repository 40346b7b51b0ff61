-- A worker that is to join, for a transaction that is rolled back: the planner counts it, and nothing contacts it. One that is
-- registered by now is counted anyway.
insert into pg_catalog.pg_dist_node
    (nodeid, groupid, nodename, nodeport, hasmetadata, isactive, metadatasynced, shouldhaveshards)
select max(nodeid) + 1, max(groupid) + 1, %(name)s, %(port)s, true, true, true, true
from pg_catalog.pg_dist_node
having count(*) filter (where nodename = %(name)s and nodeport = %(port)s) = 0
