-- By which a pooler finds what PostgreSQL keeps of a client's password, and nothing else. Runs on each node that has a pooler.
do $do$
begin
    set local citus.enable_ddl_propagation = off;
    set local client_min_messages = warning;
    create schema if not exists citus_pulumi;
    create or replace function citus_pulumi.find_login(login text)
    returns table (name name, verifier text)
    language sql
    security definer
    set search_path = pg_catalog
    as $$
        select rolname, rolpassword
        from pg_authid
        where rolname = login and rolcanlogin and coalesce(rolvaliduntil > now(), true)
    $$;
    revoke all on function citus_pulumi.find_login from public;
    grant usage on schema citus_pulumi to citus_pulumi_pooler;
    grant execute on function citus_pulumi.find_login to citus_pulumi_pooler;
end
$do$
