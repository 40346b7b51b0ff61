-- Ends a backend of the coordinator, and counts whether it is still there.
select count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity where pid = %(process)s and backend_start = %(started)s
