with claimed as (
    insert into citus_pulumi.stack (name) values (%(stack)s) on conflict do nothing returning name
)
select name from claimed union all select name from citus_pulumi.stack limit 1
