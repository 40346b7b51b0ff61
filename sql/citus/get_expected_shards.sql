-- What the cluster expects on a node: each shard of its group, with its columns and their types.
select coalesce(json_object_agg(pg_catalog.shard_name(s.logicalrelid, s.shardid), c.columns), '{}')
from pg_catalog.pg_dist_placement p
join pg_catalog.pg_dist_shard s using (shardid)
cross join lateral (
    select string_agg(
        pg_catalog.format('%%I %%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' order by a.attname
    ) as columns
    from pg_catalog.pg_attribute a
    where a.attrelid = s.logicalrelid and a.attnum > 0 and not a.attisdropped
) c
where p.groupid = %(group)s
