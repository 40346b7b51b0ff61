-- The shards that lie with it are split alike, each part copied straight to its node.
select pg_catalog.citus_split_shard_by_split_points(%(shard)s, %(points)s::text[], %(nodes)s::integer[], %(mode)s)
