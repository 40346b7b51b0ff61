-- Runs on a worker, before a role goes: takes away what Citus does not, such as privileges on shards that are still to be cleaned up.
do $do$
declare
    revocation text;
begin
    perform pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true);
    perform pg_catalog.set_config('citus.enable_manual_changes_to_shards', 'on', true);
    perform pg_catalog.set_config('citus.override_table_visibility', 'off', true);
    for revocation in
        select pg_catalog.format('revoke all on %s %s from %I', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass, r.rolname)
        from pg_catalog.pg_roles r
        join pg_catalog.pg_class c on exists (select from pg_catalog.aclexplode(c.relacl) a where a.grantee = r.oid)
        where r.rolname = {role} and c.relowner <> r.oid
        union all
        select pg_catalog.format('revoke all on schema %I from %I', n.nspname, r.rolname)
        from pg_catalog.pg_roles r
        join pg_catalog.pg_namespace n on exists (select from pg_catalog.aclexplode(n.nspacl) a where a.grantee = r.oid)
        where r.rolname = {role} and n.nspowner <> r.oid
        union all
        select pg_catalog.format('revoke all on routine %s from %I', p.oid::regprocedure, r.rolname)
        from pg_catalog.pg_roles r
        join pg_catalog.pg_proc p on exists (select from pg_catalog.aclexplode(p.proacl) a where a.grantee = r.oid)
        where r.rolname = {role} and p.proowner <> r.oid
        union all
        select pg_catalog.format('revoke all on database %I from %I', d.datname, r.rolname)
        from pg_catalog.pg_roles r
        join pg_catalog.pg_database d on exists (select from pg_catalog.aclexplode(d.datacl) a where a.grantee = r.oid)
        where r.rolname = {role} and d.datdba <> r.oid
    loop
        execute revocation;
    end loop;
end
$do$
