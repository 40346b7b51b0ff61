select oid::bigint, rolname = session_user from pg_catalog.pg_roles where rolname = %(name)s
