select pg_catalog.citus_schema_undistribute(%(schema)s::regnamespace)
