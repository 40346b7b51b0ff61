select pg_catalog.citus_move_shard_placement(%(shard)s, %(from_name)s, %(from_port)s, %(name)s, %(port)s, %(mode)s)
