-- Runs on a worker: the role gets its new password, and the node shows it to other nodes, at the same moment. Whoever on this
-- node is about to log in to another one waits for that.
do $do$
begin
    perform pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true);
    perform pg_catalog.set_config('lock_timeout', '5s', true);
    lock table pg_catalog.pg_dist_authinfo in access exclusive mode;
    insert into pg_catalog.pg_dist_authinfo (nodeid, rolename, authinfo)
    select 0, rolename, authinfo from pg_catalog.pg_dist_authinfo where nodeid = -2 and rolename = {role}
    on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo;
    delete from pg_catalog.pg_dist_authinfo where nodeid = -2 and rolename = {role};
    execute pg_catalog.format('alter role %I password %L', {role}, {verifier});
end
$do$
