-- Runs on a worker: the tables on which a role holds something else than on the coordinator, or on one of whose shards it does.
with r as (
    select oid from pg_catalog.pg_roles where rolname = {role}
),
relation (logical, oid) as (
    select logicalrelid::oid, logicalrelid::oid from pg_catalog.pg_dist_partition
    union all
    select s.logicalrelid::oid, pg_catalog.to_regclass(pg_catalog.shard_name(s.logicalrelid, s.shardid))::oid
    from pg_catalog.pg_dist_shard s
    join pg_catalog.pg_dist_placement l on l.shardid = s.shardid
    join pg_catalog.pg_dist_local_group g on g.groupid = l.groupid
),
held as (
    select relation.oid,
           pg_catalog.format('%I.%I', n.nspname, t.relname) as object,
           coalesce(string_agg(a.privilege_type, ', ' order by a.privilege_type), '') as privileges
    from relation
    join pg_catalog.pg_class t on t.oid = relation.logical
    join pg_catalog.pg_namespace n on n.oid = t.relnamespace
    join pg_catalog.pg_class c on c.oid = relation.oid
    cross join r
    left join lateral pg_catalog.aclexplode(c.relacl) a on a.grantee = r.oid
    group by 1, 2
)
select coalesce(json_agg(distinct held.object), '[]')
from held
join pg_catalog.json_each_text({expected}::json) expected on expected.key = held.object
where held.privileges <> expected.value
