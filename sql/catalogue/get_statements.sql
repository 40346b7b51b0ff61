-- The statements of this database, those that took longest first; those of others that the role may not read are left out.
-- As pg_stat_statements has them in PostgreSQL 13 and newer.
select query::text as text, sum(calls)::int8 as calls, sum(total_exec_time)::float8 as milliseconds
from {schema}.pg_stat_statements
where dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and query <> '<insufficient privilege>'
group by query
order by milliseconds desc
