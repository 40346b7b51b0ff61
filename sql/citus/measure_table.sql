-- How much a table takes with its indexes, in bytes, on all nodes together.
select case
           when p.logicalrelid is null then pg_catalog.pg_total_relation_size(c.oid)
           else pg_catalog.citus_total_relation_size(c.oid)
       end
from pg_catalog.pg_class c
left join pg_catalog.pg_dist_partition p on p.logicalrelid = c.oid
where c.oid = pg_catalog.to_regclass(%(table)s)
