-- A node's pg_hba.conf: its path and text, what is wrong with it, and whether somebody wrote lines beyond those that initdb and
-- the image write.
select pg_catalog.json_build_object(
    'path', pg_catalog.current_setting('hba_file'),
    'text', pg_catalog.pg_read_file(pg_catalog.current_setting('hba_file')),
    'wrong', pg_catalog.string_agg(pg_catalog.format('line %s: %s', line_number, error), '; ') filter (where error is not null),
    'has_own', coalesce(pg_catalog.bool_or(not coalesce(
        error is null
        and coalesce(options <@ '{clientcert=verify-ca}', true)
        and user_name = '{all}'
        and database <@ '{all,replication}'::text[]
        and (type = 'local' or address = 'all' or address in ('127.0.0.1', '::1'))
        and auth_method in ('trust', 'peer', 'md5', 'scram-sha-256'), false)), false)
)
from pg_catalog.pg_hba_file_rules
