-- Rows as the planner estimates them, -1 where nobody has analyzed the table; of a partitioned table, those of its partitions.
with recursive leaf (root, oid) as (
    select c.oid, c.oid from pg_catalog.pg_class c where c.relkind in ('r', 'p') and not c.relispartition
    union all
    select leaf.root, i.inhrelid
    from leaf
    join pg_catalog.pg_inherits i on i.inhparent = leaf.oid
    join pg_catalog.pg_class c on c.oid = i.inhrelid and c.relispartition
)
select n.nspname::text as schema,
       r.relname::text as name,
       case when bool_or(c.reltuples >= 0 and c.relkind = 'r') then sum(greatest(c.reltuples, 0)) filter (where c.relkind = 'r')
            else -1 end::float8 as rows,
       sum(pg_catalog.pg_total_relation_size(c.oid))::int8 as bytes,
       coalesce(sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del), 0)::int8 as writes
from leaf
join pg_catalog.pg_class r on r.oid = leaf.root
join pg_catalog.pg_namespace n on n.oid = r.relnamespace
join pg_catalog.pg_class c on c.oid = leaf.oid
left join pg_catalog.pg_stat_user_tables s on s.relid = c.oid
where n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
group by leaf.root, n.nspname, r.relname
