-- The bytes of each shard, asked of every node.
select shard_id, max(size)::bigint from pg_catalog.citus_shard_sizes() group by shard_id
