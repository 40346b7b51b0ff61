-- Runs on a worker that came back: which of the shards that are expected are not there as they are, and which others it has.
with expected as (
    select key as shard, value as columns from pg_catalog.json_each_text({expected}::json)
),
found as (
    select pg_catalog.shard_name(s.logicalrelid, s.shardid) as shard
    from pg_catalog.pg_dist_placement p
    join pg_catalog.pg_dist_shard s using (shardid)
    join pg_catalog.pg_dist_local_group g on g.groupid = p.groupid
)
select json_build_object(
    'unlike', (
        select coalesce(json_agg(shard order by shard), '[]')
        from expected
        where columns is distinct from (
            select string_agg(
                pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' order by a.attname
            )
            from pg_catalog.pg_attribute a
            where a.attrelid = pg_catalog.to_regclass(expected.shard) and a.attnum > 0 and not a.attisdropped
        )
    ),
    'left', (
        select coalesce(json_agg(shard order by shard), '[]')
        from found
        where pg_catalog.to_regclass(shard) is not null and shard not in (select shard from expected)
    )
)
