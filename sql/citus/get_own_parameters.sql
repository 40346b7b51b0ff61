-- What stands in the file that `alter system` writes, and why the server does not take it; when it last read its files.
select pg_catalog.json_build_object(
    'read_at', pg_catalog.pg_conf_load_time(),
    'parameters', coalesce((
        select pg_catalog.json_object_agg(name, pg_catalog.json_build_array(setting, error, applied))
        from pg_catalog.pg_file_settings
        where sourcefile = pg_catalog.current_setting('data_directory') || '/postgresql.auto.conf'
    ), '{}')
)
