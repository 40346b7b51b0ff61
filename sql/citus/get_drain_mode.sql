-- Online needs a replica identity of every distributed table.
select case when bool_and(c.relreplident in ('f', 'i') or exists (
           select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary
       )) then 'auto' else 'block_writes' end
from pg_catalog.pg_dist_partition t
join pg_catalog.pg_class c on c.oid = t.logicalrelid
where t.partmethod = 'h' and c.relkind = 'r'
