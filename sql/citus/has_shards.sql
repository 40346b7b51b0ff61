-- Whether there is a table, and Citus keeps shards of it.
select exists (select from pg_catalog.pg_dist_partition where logicalrelid = pg_catalog.to_regclass(%(table_name)s))
