-- Whoever may log in.
select rolname from pg_catalog.pg_roles where rolcanlogin order by 1
