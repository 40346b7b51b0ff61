select c.oid::bigint as oid,
       case
           when p.partmethod = 'h' then 'distributed'
           when p.partmethod = 'n' and p.repmodel = 't' then 'reference'
           when p.partmethod = 'n' and p.colocationid <> 0 then 'single shard'
           else 'local'
       end as kind,
       case
           when p.partmethod = 'h' then pg_catalog.column_to_column_name(p.logicalrelid, p.partkey)
       end as distribution_column,
       nullif(p.colocationid, 0) as colocation_group,
       -- Into how many shards it was split; a tenant with a shard of its own makes more of them.
       (select k.shardcount from pg_catalog.pg_dist_colocation k where k.colocationid = p.colocationid) as shard_count,
       (select count(*) from pg_catalog.pg_dist_shard s where s.logicalrelid = c.oid) as shards,
       (select count(*)
        from pg_catalog.pg_dist_shard s
        join pg_catalog.pg_dist_placement using (shardid)
        where s.logicalrelid = c.oid) as placements
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_dist_partition p on p.logicalrelid = c.oid
where n.nspname = %(schema)s and c.relname = %(name)s and c.relkind in ('r', 'p', 'f')
