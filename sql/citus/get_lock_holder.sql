select a.pid,
       format(
           'process %%s of %%s from %%s, %%s, %%s for %%s s',
           a.pid,
           a.usename,
           coalesce(host(a.client_addr), 'this host'),
           a.application_name,
           case when a.state = 'active' then 'at its statement' else a.state end,
           extract(epoch from pg_catalog.clock_timestamp() - a.state_change)::bigint
       )
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a using (pid)
where l.locktype = 'advisory'
  and l.granted
  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s::bigint
limit 1
