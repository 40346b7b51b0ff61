select e.extversion as citus_version,
       pg_catalog.current_setting('server_version') as postgres_version,
       m.metadata ->> 'server_id' as server_id
from pg_catalog.pg_extension e, pg_catalog.pg_dist_node_metadata m
where e.extname = 'citus'
