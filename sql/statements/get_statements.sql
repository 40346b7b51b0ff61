-- The statements of this database as pg_stat_statements has them, of PostgreSQL 13 and newer; times in milliseconds.
select query::text, sum(calls)::int8, sum(total_exec_time)::float8
from {schema}.pg_stat_statements
where dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and query <> '<insufficient privilege>'
group by query
order by 3 desc
