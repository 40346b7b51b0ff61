select pg_catalog.citus_schema_distribute(%(schema)s::regnamespace)
