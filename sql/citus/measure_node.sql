-- How many shards of distributed tables a node holds, and how many bytes they take.
select count(*), coalesce(sum(shard_size), 0)
from pg_catalog.citus_shards
where nodename = %(name)s and nodeport = %(port)s and citus_table_type = 'distributed'
