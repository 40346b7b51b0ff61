-- The version of Citus that the server brings, where the database has the extension of another one; no row where it has this one.
select default_version
from pg_catalog.pg_available_extensions
where name = 'citus' and installed_version <> default_version
