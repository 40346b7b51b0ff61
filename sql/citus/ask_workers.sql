-- Asks every active worker one question at the same time.
with asked as (
    select array_agg(nodename::text) as names,
           array_agg(nodeport) as ports,
           array_agg(%(question)s::text) as questions
    from pg_catalog.pg_dist_node
    where isactive and groupid <> 0
)
select answer.node_name || ':' || answer.node_port, answer.success, answer.result
from asked
cross join lateral pg_catalog.master_run_on_worker(asked.names, asked.ports, asked.questions, true) answer
where asked.names is not null
order by 1
