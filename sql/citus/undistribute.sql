select pg_catalog.undistribute_table(%(table)s::regclass)
