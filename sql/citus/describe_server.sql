-- What the server has for files: its major version, the extensions that can be created, its roles, the version of Citus.
select
    current_setting('server_version_num')::int / 10000,
    array(select name::text from pg_available_extensions),
    array(select rolname::text from pg_roles),
    (select extversion from pg_extension where extname = 'citus')
