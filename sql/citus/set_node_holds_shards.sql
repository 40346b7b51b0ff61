select pg_catalog.citus_set_node_property(%(name)s, %(port)s, 'shouldhaveshards', %(holds)s)
