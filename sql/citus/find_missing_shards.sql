-- Placements of shards that cannot be read, one line each.
select pg_catalog.format('%s on %s:%s: %s', p.logicalrelid, r.nodename, r.nodeport, r.result)
from pg_catalog.pg_dist_partition p,
     pg_catalog.run_command_on_placements(p.logicalrelid, 'select count(*) from (select from %s limit 1) it') r
where not r.success
