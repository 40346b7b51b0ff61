-- The statements of this database that ran most often; those of others that the role may not read are left out.
select query::text as text, sum(calls)::int8 as calls
from {schema}.pg_stat_statements
where dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and query <> '<insufficient privilege>'
group by query
order by calls desc
limit 2000
