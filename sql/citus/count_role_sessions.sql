-- Sessions of clients, on a node; those of other nodes end with them.
select count(*)
from pg_catalog.pg_stat_activity
where usename = {role} and backend_type = 'client backend' and application_name !~ '^citus_(internal|rebalancer|run_command)'
