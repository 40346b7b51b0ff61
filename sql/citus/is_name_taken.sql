-- Whether a schema has a constraint or a relation of that name.
select exists (
    select from pg_catalog.pg_constraint o join pg_catalog.pg_namespace n on n.oid = o.connamespace
    where n.nspname = %(schema)s and o.conname = %(name)s
) or exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(name)s
)
