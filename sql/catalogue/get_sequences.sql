select n.nspname::text as schema, c.relname::text as name, array[s.seqstart, s.seqmin, s.seqmax] as bounds,
       pg_catalog.format_type(s.seqtypid, null) as type
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$|citus|columnar)'
order by c.oid
