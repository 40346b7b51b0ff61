-- Runs on the node itself; its own metadata tells which cluster it belongs to, or belonged to.
select pg_catalog.json_build_object(
    'database', pg_catalog.current_database(),
    'citus_version', (select extversion from pg_catalog.pg_extension where extname = 'citus'),
    'library_version', (select default_version from pg_catalog.pg_available_extensions where name = 'citus'),
    'server_id', (select metadata ->> 'server_id' from pg_catalog.pg_dist_node_metadata),
    'group_id', (select groupid from pg_catalog.pg_dist_local_group),
    'coordinator', (select nodename || ':' || nodeport from pg_catalog.pg_dist_node where groupid = 0),
    'shards', (select count(*)
               from pg_catalog.pg_dist_placement p
               join pg_catalog.pg_dist_shard s using (shardid)
               join pg_catalog.pg_dist_partition t using (logicalrelid)
               where t.repmodel <> 't' and t.colocationid <> 0
                 and p.groupid = (select groupid from pg_catalog.pg_dist_local_group)),
    'restored', pg_catalog.current_setting('citus_pulumi.restored', true),
    'wal_level', pg_catalog.current_setting('wal_level')
)
