-- Runs on a worker: Citus does not pass on that a role was renamed, nor what is then done to its password in the same transaction.
do $do$
begin
    perform pg_catalog.set_config('citus.enable_ddl_propagation', 'off', true);
    if pg_catalog.role_exists({old}) and not pg_catalog.role_exists({new}) then
        execute pg_catalog.format('alter role %I rename to %I', {old}, {new});
        execute pg_catalog.format('alter role %I password %L', {new}, {verifier});
    end if;
end
$do$
