-- Subscriptions, slots, publications and roles of moves that have ended, on any node, and the commands that drop each; Citus no
-- longer knows of them. A move that still runs holds the lock on its number, with which the names end.
select n.nodename, n.nodeport, o.name, array(select json_array_elements_text(o.commands))
from pg_catalog.run_command_on_all_nodes($$
    select json_agg(json_build_object('kind', kind, 'name', name, 'commands', commands) order by kind) from (
        select 1 as kind, subname::text as name, array[
            format('alter subscription %I disable', subname),
            format('alter subscription %I set (slot_name = none)', subname),
            format('drop subscription %I', subname)
        ] as commands
        from pg_catalog.pg_subscription join pg_catalog.pg_database d on d.oid = subdbid
        where d.datname = current_database()
        union all
        select 2, slot_name::text, array[format('select pg_catalog.pg_drop_replication_slot(%L)', slot_name)]
        from pg_catalog.pg_replication_slots
        where database = current_database() and not active
        union all
        select 3, pubname::text, array[format('drop publication %I', pubname)] from pg_catalog.pg_publication
        union all
        select 4, rolname::text, array[format('drop role %I', rolname)]
        from pg_catalog.pg_roles r
        where not exists (select from pg_catalog.pg_shdepend where refclassid = 'pg_authid'::regclass and refobjid = r.oid)
    ) o
    where name ~ '^citus_shard_(move|split)_(subscription|slot|publication|subscription_role)_[0-9_]+$'
$$) a
join pg_catalog.pg_dist_node n using (nodeid)
cross join lateral json_to_recordset(nullif(a.result, '')::json) o (kind integer, name text, commands json)
where a.success
  and not exists (
      select
      from pg_catalog.pg_locks l
      where l.locktype = 'advisory'
        and l.objsubid = 10
        and (l.classid::bigint << 32) + l.objid::bigint = substring(o.name from '\d+$')::bigint
  )
order by o.kind
