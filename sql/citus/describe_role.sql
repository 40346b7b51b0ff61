-- What a node has of a role, as JSON; nothing where it is not there. Runs on each node.
select pg_catalog.json_build_object(
    'login', r.rolcanlogin and coalesce(r.rolvaliduntil > pg_catalog.now(), true),
    'superuser', r.rolsuper,
    'createdb', r.rolcreatedb,
    'createrole', r.rolcreaterole,
    'replication', r.rolreplication,
    'bypassrls', r.rolbypassrls,
    'connections', r.rolconnlimit,
    'password', pg_catalog.md5(r.rolpassword),
    'memberships', (
        select coalesce(json_agg(g.rolname order by g.rolname), '[]')
        from pg_catalog.pg_auth_members m
        join pg_catalog.pg_roles g on g.oid = m.roleid
        where m.member = r.oid
    )
)
from pg_catalog.pg_authid r
where r.rolname = {role}
