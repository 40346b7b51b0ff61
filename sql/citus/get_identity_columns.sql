select attname::text
from pg_catalog.pg_attribute
where attrelid = %(table)s::regclass and attidentity <> '' and not attisdropped
order by attnum
