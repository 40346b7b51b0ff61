select count(*) from pg_catalog.pg_dist_node where isactive
