-- The newest backup that is complete, and the newest that failed since: name, end and error.
select name, ended_at, error
from (
    (select number, name, ended_at, error from citus_pulumi.backup_run where ended_at is not null and error is null order by number desc limit 1)
    union all
    (select number, name, coalesce(ended_at, started_at), coalesce(error, 'it was cut off') from citus_pulumi.backup_run
     where error is not null or (ended_at is null and not exists (
         select from pg_catalog.pg_locks
         where locktype = 'advisory' and objid = pg_catalog.hashtext('citus_pulumi.backup')::bigint & 4294967295
     ))
     order by number desc limit 1)
) it
order by number desc
