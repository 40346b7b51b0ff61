-- Oids of the roles that the settings declared when an update ran last.
select oid::bigint from citus_pulumi.role noted where pg_catalog.to_jsonb(noted) ->> 'declared' is not null
