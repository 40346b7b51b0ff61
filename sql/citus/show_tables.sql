-- For a person: each table that Citus knows, with its shards, and how many of them each group of nodes holds.
select t.logicalrelid::text,
       case
           when t.partmethod = 'h' then 'distributed'
           when t.repmodel = 't' then 'reference'
           when t.colocationid <> 0 then 'single shard'
           else 'local'
       end,
       case when t.partmethod = 'h' then pg_catalog.column_to_column_name(t.logicalrelid, t.partkey) end,
       nullif(t.colocationid, 0),
       (select count(*) from pg_catalog.pg_dist_shard s where s.logicalrelid = t.logicalrelid),
       (select coalesce(jsonb_object_agg(groupid, held), '{}')
        from (select p.groupid, count(*) as held
              from pg_catalog.pg_dist_shard s
              join pg_catalog.pg_dist_placement p using (shardid)
              where s.logicalrelid = t.logicalrelid
              group by p.groupid) placed)
from pg_catalog.pg_dist_partition t
order by t.partmethod, t.logicalrelid::text
