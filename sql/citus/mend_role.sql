-- Runs on a worker that does not have a declared role as the coordinator has it. Sessions there are those of other nodes, which
-- the limit of the role's own sessions does not count.
do $do$
declare
    granted name;
begin
    perform pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true);
    if not pg_catalog.role_exists({role}) then
        execute pg_catalog.format('create role %I', {role});
    end if;
    execute pg_catalog.format('alter role %I {attributes} connection limit -1 password %L', {role}, {verifier});
    for granted in
        select g.rolname
        from pg_catalog.pg_auth_members m
        join pg_catalog.pg_roles g on g.oid = m.roleid
        join pg_catalog.pg_roles r on r.oid = m.member
        where r.rolname = {role}
    loop
        execute pg_catalog.format('revoke %I from %I', granted, {role});
    end loop;
end
$do$
