-- Ends what a backend of the coordinator has the nodes do: a copy from node to node does not notice that nobody waits for it.
select count(a.result)
from pg_catalog.run_command_on_all_nodes(format(
    $$
        select count(pg_catalog.pg_terminate_backend(pid))
        from pg_catalog.pg_stat_activity
        where application_name = 'citus_internal gpid=' || %%1$s
    $$,
    %(gpid)s::bigint
)) a
