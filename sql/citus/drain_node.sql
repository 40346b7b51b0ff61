select pg_catalog.citus_drain_node(%(name)s, %(port)s, %(mode)s)
