-- What ANALYZE has found; of a partitioned table that was analyzed, about all its partitions together.
select schemaname::text as schema,
       tablename::text as table,
       attname::text as column,
       null_frac::float8 as nulls,
       n_distinct::float8 as distinct,
       most_common_vals::text::text[] as values,
       most_common_freqs::float8[] as shares
from pg_catalog.pg_stats s
where schemaname !~ '^(pg_|information_schema$|citus|columnar)'
  and (inherited or not exists (
      select from pg_catalog.pg_stats o
      where o.schemaname = s.schemaname and o.tablename = s.tablename and o.attname = s.attname and o.inherited
  ))
  and attname = any (%(columns)s)
