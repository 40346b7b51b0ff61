-- All that a preview wants to know of the running cluster, in one answer; the coordinator's metadata alone is asked.
select pg_catalog.json_build_object(
    'cluster_id', (select name from citus_pulumi.stack),
    'coordinator', (select nodename || ':' || nodeport from pg_catalog.pg_dist_node where groupid = 0),
    'scripts', (select coalesce(json_object_agg(file_name, sha256), '{}') from citus_pulumi.script),
    'tables', (
        select coalesce(json_agg(json_build_object(
            'schema', n.nspname,
            'name', c.relname,
            'kind', case
                when p.partmethod = 'h' then 'distributed'
                when p.partmethod = 'n' and p.repmodel = 't' then 'reference'
                when p.partmethod = 'n' and p.colocationid <> 0 then 'single shard'
                else 'local'
            end,
            'distribution_column', case
                when p.partmethod = 'h' then pg_catalog.column_to_column_name(p.logicalrelid, p.partkey)
            end
        )), '[]')
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        left join pg_catalog.pg_dist_partition p on p.logicalrelid = c.oid
        where c.relkind in ('r', 'p', 'f')
          and n.nspname !~ '^pg_'
          and n.nspname not in ('information_schema', 'citus_pulumi', 'citus', 'citus_internal', 'columnar_internal')
    ),
    'workers', (
        select coalesce(json_agg(json_build_object(
            'group_id', w.groupid,
            'node_name', w.nodename,
            'node_port', w.nodeport,
            'should_have_shards', w.shouldhaveshards,
            'shards', (
                select count(*)
                from pg_catalog.pg_dist_placement p
                join pg_catalog.pg_dist_shard s using (shardid)
                join pg_catalog.pg_dist_partition t using (logicalrelid)
                where p.groupid = w.groupid and t.repmodel <> 't' and t.colocationid <> 0
            )
        ) order by w.groupid), '[]')
        from pg_catalog.pg_dist_node w
        where w.groupid > 0 and w.noderole = 'primary'
    )
)
