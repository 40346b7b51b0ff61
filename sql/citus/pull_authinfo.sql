-- Runs on a node, which asks the coordinator: so no password is part of a statement, and none gets into a log.
with answer as (
    select success, result
    from pg_catalog.master_run_on_worker(array[{coordinator}::text], array[{port}::integer], array[{question}::text], false)
),
known as (
    select it.rolename, it.authinfo
    from answer
    cross join lateral pg_catalog.json_to_recordset(case when success then result::json else '[]' end)
        as it (rolename name, authinfo text)
),
removed as (
    delete from pg_catalog.pg_dist_authinfo where nodeid = 0 and rolename = any({gone}::name[])
),
written as (
    insert into pg_catalog.pg_dist_authinfo (nodeid, rolename, authinfo)
    select {nodeid}, rolename, authinfo from known where pg_catalog.role_exists(rolename)
    on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo
    where pg_dist_authinfo.authinfo <> excluded.authinfo
)
select pg_catalog.json_build_object(
    'failure', (select result from answer where not success),
    'missing', (select coalesce(json_agg(rolename), '[]') from known where not pg_catalog.role_exists(rolename))
)
