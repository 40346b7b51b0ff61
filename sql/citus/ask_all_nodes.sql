select bool_and(success)
from (
    select array_agg(nodename) as names, array_agg(nodeport) as ports, array_agg('select 1'::text) as commands
    from pg_catalog.pg_dist_node
    where isactive
) n,
pg_catalog.master_run_on_worker(n.names, n.ports, n.commands, true)
