-- What a role holds on each of Citus's tables here; on the coordinator, what it is to hold on every node and shard.
select coalesce(json_object_agg(it.object, it.privileges), '{}')
from (
    select pg_catalog.format('%%I.%%I', n.nspname, c.relname) as object,
           coalesce(string_agg(a.privilege_type, ', ' order by a.privilege_type), '') as privileges
    from pg_catalog.pg_dist_partition p
    join pg_catalog.pg_class c on c.oid = p.logicalrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_roles r on r.rolname = %(role)s and r.oid <> c.relowner
    left join lateral pg_catalog.aclexplode(c.relacl) a on a.grantee = r.oid
    group by 1
) it
