-- What moves that have ended left to be dropped, but for old placements, which Citus drops once nobody reads them. A move
-- that still runs holds the lock on its number.
select object_name, n.nodename || ':' || n.nodeport
from pg_catalog.pg_dist_cleanup c
join pg_catalog.pg_dist_node n on n.groupid = c.node_group_id and n.noderole = 'primary'
where c.policy_type <> 2
  and not exists (
      select
      from pg_catalog.pg_locks l
      where l.locktype = 'advisory'
        and l.objsubid = 10
        and (l.classid::bigint << 32) + l.objid::bigint = c.operation_id
  )
