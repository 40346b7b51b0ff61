-- Citus shows other nodes the row of node 0 where there is none for the node itself, on loopback connections too. The name that
-- is noted is the one under which the workers came to know the role: it may have another by now.
with shown as (
    insert into pg_catalog.pg_dist_authinfo (nodeid, rolename, authinfo)
    select 0, rolname, %(authinfo)s from pg_catalog.pg_roles where oid = %(oid)s::bigint::oid
    on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo
)
insert into citus_pulumi.role (oid, name)
select oid, %(name)s from pg_catalog.pg_roles where oid = %(oid)s::bigint::oid
on conflict (oid) do update set wanted = true, known_at = now()
