-- The columns of the tables by that name, in the order of the table: what the analysis needs is looked for in them.
select c.relname::text as table_name, a.attname::text as column_name, format_type(a.atttypid, a.atttypmod) as type
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = %(schema)s::regnamespace
  and c.relname = any (%(tables)s)
  and c.relkind in ('r', 'p')
order by c.relname, a.attnum
