-- Asked on every node at once: what works for a process of the coordinator bears its number in the application's name.
with coordinator as (
    select min(nodeid)::bigint * 10000000000 + %(process)s as global_process
    from pg_catalog.pg_dist_node
    where groupid = 0
),
question as (
    select format(
        $question$
        select pg_catalog.string_agg(distinct coalesce(
            format('process %%%%s of %%%%s, %%%%s, %%%%s, its transaction since %%%%s s',
                   a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'without a name'), a.state,
                   extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start))::bigint),
            'a prepared transaction'), e'\n')
        from pg_catalog.pg_stat_activity w
        cross join pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)
        left join pg_catalog.pg_stat_activity a on a.pid = b.pid
        where w.application_name = 'citus_internal gpid=%%s'
          and a.application_name is distinct from w.application_name
        $question$,
        global_process
    ) as command
    from coordinator
),
nodes as (
    select array_agg(nodename) as names, array_agg(nodeport) as ports, array_agg(command) as commands
    from pg_catalog.pg_dist_node, question
    where isactive
)
select 'coordinator' as place,
       string_agg(distinct coalesce(
           format('process %%s of %%s, %%s, %%s, its transaction since %%s s',
                  a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'without a name'), a.state,
                  extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start))::bigint),
           'a prepared transaction'), e'\n') as sessions
from pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(process)s)) b (pid)
left join pg_catalog.pg_stat_activity a on a.pid = b.pid
union all
select format('%%s:%%s', r.node_name, r.node_port), r.result
from nodes n, pg_catalog.master_run_on_worker(n.names, n.ports, n.commands, true) r
where r.success
