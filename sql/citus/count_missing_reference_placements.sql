select count(*)
from pg_catalog.pg_dist_partition t
join pg_catalog.pg_dist_shard s using (logicalrelid)
cross join pg_catalog.pg_dist_node n
where t.partmethod = 'n'
  and t.repmodel = 't'
  and n.isactive
  and n.noderole = 'primary'
  and not exists (
      select from pg_catalog.pg_dist_placement p where p.shardid = s.shardid and p.groupid = n.groupid
  )
