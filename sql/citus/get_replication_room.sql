-- To how many nodes a node can replicate a shard, and those that lie with it, at the same time, as its settings have it; and
-- which setting does not even allow one, or does not allow one of the targets to receive it. Each owner of a table takes a
-- slot and a sender for each target, and a worker process there; the copy takes a sender more.
with owners as (
    select count(distinct c.relowner)::integer as n
    from pg_catalog.pg_dist_shard s
    join pg_catalog.pg_dist_partition t using (logicalrelid)
    join pg_catalog.pg_dist_partition other on other.colocationid = t.colocationid
    join pg_catalog.pg_class c on c.oid = other.logicalrelid
    where s.shardid = %(shard)s
), asked as (
    select n.nodename || ':' || n.nodeport as node, a.result::json as free
    from pg_catalog.run_command_on_all_nodes($$
        select json_build_object(
            'max_replication_slots',
            current_setting('max_replication_slots')::integer - (select count(*) from pg_catalog.pg_replication_slots),
            'max_wal_senders',
            current_setting('max_wal_senders')::integer - (select count(*) from pg_catalog.pg_stat_replication),
            'max_logical_replication_workers',
            current_setting('max_logical_replication_workers')::integer
                - (select count(*) from pg_catalog.pg_stat_subscription where pid is not null)
        )
    $$) a
    join pg_catalog.pg_dist_node n using (nodeid)
    where a.success
), needed as (
    select node, s.setting, (free ->> s.setting)::integer as free, owners.n + s.more as needed, owners.n, s.more
    from asked, owners, (values ('max_replication_slots', 0), ('max_wal_senders', 1)) s (setting, more)
    where node = %(node)s
    union all
    select node, s.setting, (free ->> s.setting)::integer, owners.n, null, null
    from asked, owners, (values ('max_logical_replication_workers')) s (setting)
    where node = any(%(targets)s::text[])
)
select min((free - more) / n),
       string_agg(
           format('%%s of %%s leaves room for %%s more, and %%s are needed', setting, node, free, needed), '; ' order by node
       ) filter (where free < needed)
from needed
