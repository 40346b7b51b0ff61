select rolpassword from pg_catalog.pg_authid where rolname = %(role)s
