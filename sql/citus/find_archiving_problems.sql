-- Nodes whose write-ahead log is not archived: what failed last, and how many files wait in the meantime.
select node, case when success then result else 'does not answer: ' || result end
from citus_pulumi.ask_nodes($ask$
    select coalesce((
        select format(
            'its write-ahead log is not archived since %s (%s could not be), and %s files of 16 MB or so wait on its disk: its log says why',
            coalesce(to_char(last_archived_time at time zone 'utc', 'YYYY-MM-DD HH24:MI UTC'), 'it began'),
            last_failed_wal,
            (select count(*) from pg_catalog.pg_ls_archive_statusdir() where name like '%.ready')
        )
        from pg_catalog.pg_stat_archiver
        where last_failed_time > coalesce(last_archived_time, '-infinity')
    ), case when pg_catalog.current_setting('archive_mode') = 'off' then 'it archives nothing (archive_mode is off)' else '' end)
$ask$)
where not success or result <> ''
