select pg_catalog.alter_distributed_table(
    %(table)s::regclass,
    distribution_column => %(column)s::text,
    shard_count => %(shard_count)s::integer,
    colocate_with => %(colocate_with)s::text,
    cascade_to_colocated => false
)
