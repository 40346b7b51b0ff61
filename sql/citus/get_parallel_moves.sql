-- How many background tasks Citus runs at a time, in all and on one node, and where the setting comes from.
select name, setting::integer, source
from pg_catalog.pg_settings
where name in ('citus.max_background_task_executors', 'citus.max_background_task_executors_per_node')
