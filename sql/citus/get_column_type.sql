-- With the collation, for a text of another collation has another hash.
select atttypid::bigint, attcollation::bigint
from pg_catalog.pg_attribute
where attrelid = %(table)s::regclass and attname = %(column)s and attnum > 0 and not attisdropped
