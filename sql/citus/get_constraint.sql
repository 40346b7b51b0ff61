-- A table's constraint of that name: its kind, its definition, its comment.
select o.contype::text, pg_catalog.pg_get_constraintdef(o.oid), pg_catalog.obj_description(o.oid, 'pg_constraint')
from pg_catalog.pg_constraint o
where o.conrelid = pg_catalog.to_regclass(%(table)s) and o.conname = %(name)s
