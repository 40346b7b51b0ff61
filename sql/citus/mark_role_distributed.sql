-- Lets Citus pass on what is done to a role that it did not see being made, and make it on workers that join.
insert into pg_catalog.pg_dist_object (classid, objid, objsubid)
select 'pg_catalog.pg_authid'::regclass, oid, 0 from pg_catalog.pg_roles where rolname = %(role)s
on conflict do nothing
