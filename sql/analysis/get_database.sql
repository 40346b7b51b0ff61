-- The comment on a database of that name: how the analysis knows the one that it has made.
select shobj_description(oid, 'pg_database') from pg_database where datname = %(name)s
