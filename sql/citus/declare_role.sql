insert into citus_pulumi.role (oid, name, declared)
select oid, rolname, pg_catalog.md5(rolpassword) from pg_catalog.pg_authid where rolname = %(role)s
on conflict (oid) do update set declared = excluded.declared
