select pg_catalog.isolate_tenant_to_new_shard(%(table)s::regclass, %(value)s::text, 'CASCADE', %(mode)s)
