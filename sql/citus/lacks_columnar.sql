-- Whether the access method columnar could be had and is not there: Citus creates its extension by itself until 13.1 alone.
select not exists (select from pg_catalog.pg_am where amname = 'columnar')
   and exists (select from pg_catalog.pg_available_extensions where name = 'citus_columnar')
