-- Each reference table, the shard that every node has of it, and the columns that rows are written with; on the coordinator.
select p.logicalrelid::regclass, pg_catalog.shard_name(p.logicalrelid, s.shardid),
       string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum)
from pg_catalog.pg_dist_partition p
join pg_catalog.pg_dist_shard s using (logicalrelid)
join pg_catalog.pg_attribute a on a.attrelid = p.logicalrelid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
where p.partmethod = 'n' and p.repmodel = 't'
group by 1, 2
