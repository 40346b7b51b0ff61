select pg_catalog.update_distributed_table_colocation(%(table)s::regclass, %(colocate_with)s::text)
