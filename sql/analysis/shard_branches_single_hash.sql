-- The other cure: the small table distributed by the column of the join, so that only the rows of one side have to move.
select create_distributed_table('sucursal', 'id_sucursal', colocate_with => 'none', shard_count => %(shard_count)s)
