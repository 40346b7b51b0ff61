select format('process %%s, %%s, since %%s', a.pid, a.application_name, date_trunc('second', a.backend_start))
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a using (pid)
where l.locktype = 'advisory'
  and l.granted
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s::bigint
limit 1
