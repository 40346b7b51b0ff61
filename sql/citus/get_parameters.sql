-- The parameters that the server has, and what it takes for each.
select name, context, vartype, coalesce(unit, ''), coalesce(min_val, ''), coalesce(max_val, ''), coalesce(enumvals, '{}')
from pg_catalog.pg_settings
