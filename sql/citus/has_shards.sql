-- Whether there is a table, and Citus keeps shards of it; the stand-in for Citus keeps none.
select exists (select from pg_catalog.pg_dist_partition where logicalrelid = pg_catalog.to_regclass(%(table_name)s))
   and pg_catalog.to_regprocedure('pg_catalog.run_command_on_placements(regclass, text, boolean)') is not null
