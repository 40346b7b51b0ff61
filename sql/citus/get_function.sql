-- How Citus knows a function: the argument that has the tenant, and the colocation group of the table with which it runs.
select p.oid::bigint as oid,
       o.distribution_argument_index as argument_index,
       o.colocationid as colocation_group,
       coalesce(o.force_delegation, false) as force_delegation,
       case
           when %(argument)s::text ~ '^\$[0-9]+$' then pg_catalog.substr(%(argument)s::text, 2)::integer - 1
           else pg_catalog.array_position(p.proargnames, %(argument)s::text) - 1
       end as declared_index
from pg_catalog.pg_proc p
left join pg_catalog.pg_dist_object o
    on o.classid = 'pg_catalog.pg_proc'::regclass and o.objid = p.oid
where p.oid = pg_catalog.to_regprocedure(%(function)s)
