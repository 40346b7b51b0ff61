select exists (select from pg_settings where name = %(name)s)
