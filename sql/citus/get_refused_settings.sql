-- As Citus itself works on each node for this role: with what the role, the database or the node sets there.
with question as (
    select $question$
        select pg_catalog.json_agg(pg_catalog.json_build_array(s.name, s.setting || coalesce(s.unit, ''), s.source))
        from pg_catalog.pg_settings s
        where s.source not in ('default', 'client')
          and (s.name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
                   and s.setting <> '0'
               or s.name = 'default_transaction_read_only' and s.setting = 'on'
               or s.name in ('standard_conforming_strings', 'array_nulls') and s.setting = 'off'
               or s.name = 'extra_float_digits' and s.setting::integer < 1
               or s.name = 'DateStyle' and s.setting not like 'ISO%'
               or s.name = 'IntervalStyle' and s.setting = 'sql_standard')
    $question$ as command
),
nodes as (
    select array_agg(nodename) as names, array_agg(nodeport) as ports, array_agg(command) as commands
    from pg_catalog.pg_dist_node, question
    where isactive
)
select format('%s:%s', r.node_name, r.node_port), s.setting ->> 0, s.setting ->> 1, s.setting ->> 2
from nodes n,
pg_catalog.master_run_on_worker(n.names, n.ports, n.commands, true) r,
pg_catalog.json_array_elements(nullif(r.result, '')::json) s (setting)
where r.success
