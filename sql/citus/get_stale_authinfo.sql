-- Nodes that show another password than the coordinator, or none, for a role that is noted.
with wanted as (
    select shown.rolename, shown.authinfo
    from citus_pulumi.role noted
    join pg_catalog.pg_roles role on role.oid = noted.oid
    join pg_catalog.pg_dist_authinfo shown on shown.rolename = role.rolname and shown.nodeid = 0
    where noted.wanted
),
asked as (
    select array_agg(nodename::text) as names,
           array_agg(nodeport) as ports,
           array_agg($$select coalesce(json_object_agg(rolename, authinfo), '{}')
                       from pg_catalog.pg_dist_authinfo where nodeid = 0$$::text) as questions
    from pg_catalog.pg_dist_node
    where isactive and groupid <> 0
)
select answer.node_name || ':' || answer.node_port, wanted.rolename
from asked
cross join lateral pg_catalog.master_run_on_worker(asked.names, asked.ports, asked.questions, true) answer
cross join wanted
where case when answer.success then (answer.result::json ->> wanted.rolename) is distinct from wanted.authinfo end
order by 1, 2
