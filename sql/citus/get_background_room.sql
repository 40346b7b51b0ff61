-- Why the coordinator could not run a background job of Citus: it takes a background worker that hands out the tasks, and one for
-- each task that runs. PostgreSQL counts all processes that are not its own; nothing where there is room.
select format(
           'the background job needs 2 free background workers of the coordinator, and max_worker_processes = %s leaves %s: raise '
           'max_worker_processes there, and restart the server',
           allowed, greatest(allowed - used, 0)
       )
from (
    select current_setting('max_worker_processes')::integer as allowed,
           (select count(*)
            from pg_catalog.pg_stat_activity
            where backend_type not in ('client backend', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer',
                                       'startup', 'walwriter', 'walreceiver', 'walsender', 'archiver', 'io worker', 'slotsync worker',
                                       'walsummarizer', 'standalone backend', 'logger')) as used
) room
where allowed - used < 2
union all
select format('citus.background_task_queue_interval = %s keeps Citus from starting background jobs: reset it', setting)
from pg_catalog.pg_settings
where name = 'citus.background_task_queue_interval' and setting::integer <= 0
