-- Moves a country's shard, with those colocated with it, to another worker. Writes to it wait meanwhile; it is nearly empty.
select citus_move_shard_placement(
    %(shard)s,
    split_part(%(source)s, ':', 1), split_part(%(source)s, ':', 2)::integer,
    split_part(%(target)s, ':', 1), split_part(%(target)s, ':', 2)::integer,
    'block_writes'
)
