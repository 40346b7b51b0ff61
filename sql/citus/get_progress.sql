-- What each node knows of a move or split that one backend of the coordinator carries out: counters that grow while it makes
-- progress, how far each slot and each subscription has come, whether a statement of it has been at work for a second, and
-- what it waits for. A sender that replication restarts again and again never gets old.
select n.nodename || ':' || n.nodeport, a.result::json
from pg_catalog.run_command_on_all_nodes(format(
    $$
        with own as (
            select a.*, s.slot_name
            from pg_catalog.pg_stat_activity a
            left join pg_catalog.pg_replication_slots s on s.active_pid = a.pid
            where a.application_name = 'citus_internal gpid=' || %%1$s
               or (a.pid = %%2$s and (select groupid from pg_catalog.pg_dist_local_group) = 0)
               or left(s.slot_name, 12) = 'citus_shard_'
        )
        select json_build_object(
            'counters',
            (select json_object_agg(name, value) from (
                select 'copy ' || pid || ' ' || relid, bytes_processed
                from pg_catalog.pg_stat_progress_copy
                where datname = current_database()
                union all
                select 'statement', extract(epoch from query_start) from own where pid = %%2$s and slot_name is null
            ) c (name, value) where value is not null),
            'replicated',
            (select json_agg(lsn) from (
                select coalesce(confirmed_flush_lsn - '0/0', 0)
                from pg_catalog.pg_replication_slots
                where left(slot_name, 12) = 'citus_shard_' and database = current_database()
            ) s (lsn)),
            'received',
            (select json_agg(coalesce(r.received_lsn - '0/0', 0))
             from pg_catalog.pg_subscription s
             left join pg_catalog.pg_stat_subscription r on r.subid = s.oid
             join pg_catalog.pg_database d on d.oid = s.subdbid
             where left(s.subname, 12) = 'citus_shard_' and d.datname = current_database()),
            'at_work',
            exists (
                select
                from own
                where state = 'active'
                  and coalesce(wait_event_type, 'IO') = 'IO'
                  and case when slot_name is null then query_start < now() - interval '1 s'
                           else backend_start < now() - interval '10 s' end
            ),
            'waits',
            (select json_agg(distinct format(
                'process %%%%s (%%%%s, %%%%s, since %%%%s)', b.pid, b.state, coalesce(nullif(b.application_name, ''), b.backend_type),
                to_char(b.xact_start, 'HH24:MI:SS')
            ))
             from own, unnest(pg_catalog.pg_blocking_pids(own.pid)) blocking (pid)
             join pg_catalog.pg_stat_activity b using (pid))
        )
    $$,
    %(gpid)s::bigint,
    %(process)s::integer
)) a
join pg_catalog.pg_dist_node n using (nodeid)  -- what a node that failed says is no JSON: it fails here
