-- Whether Citus knows any table.
select exists (select from pg_catalog.pg_dist_partition)
