-- Takes back what create_login_lookup made; the schema stays where the ledger is in it.
do $do$
begin
    set local citus.enable_ddl_propagation = off;
    set local client_min_messages = warning;
    drop function if exists citus_pulumi.find_login(text);
    if exists (select from pg_catalog.pg_roles where rolname = 'citus_pulumi_pooler') then
        if exists (select from pg_catalog.pg_namespace where nspname = 'citus_pulumi') then
            revoke all on schema citus_pulumi from citus_pulumi_pooler;
        end if;
    end if;
end
$do$
