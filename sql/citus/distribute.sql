select create_distributed_table(%(table)s::regclass, %(column)s, colocate_with => 'none', shard_count => %(shard_count)s)
