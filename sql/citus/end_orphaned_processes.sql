-- Ends what backends of the coordinator that are gone still have the nodes do, and returns how many such processes there were.
-- A node that was frozen carries out what it was told before, when nobody waits for it any more.
with alive as (
    select coalesce(array_agg(pg_catalog.citus_calculate_gpid(n.nodeid, a.pid)), '{}') as gpids
    from pg_catalog.pg_stat_activity a, pg_catalog.pg_dist_node n
    where n.groupid = 0
)
select coalesce(sum(r.result::integer), 0)
from alive,
     pg_catalog.run_command_on_all_nodes(format(
         $$
             select count(pg_catalog.pg_terminate_backend(pid))
             from (
                 select pid, substring(application_name from '^citus_internal gpid=(\d+)$')::bigint as gpid
                 from pg_catalog.pg_stat_activity
                 where datname = current_database()
             ) p
             where gpid / 10000000000 = %%s and gpid <> all(%%L::bigint[])
         $$,
         (select nodeid from pg_catalog.pg_dist_node where groupid = 0),
         gpids
     )) r
where r.success
