-- Whether a pooler can log in with the password of which PostgreSQL keeps {verifier}, and find the logins of others.
select coalesce(pg_catalog.bool_and(
    role.rolpassword = {verifier}
    and role.rolcanlogin
    and pg_catalog.has_function_privilege(
        role.oid, pg_catalog.to_regprocedure('citus_pulumi.find_login(text)'), 'execute'
    ) is true
), false)
from pg_catalog.pg_authid role
where role.rolname = 'citus_pulumi_pooler'
