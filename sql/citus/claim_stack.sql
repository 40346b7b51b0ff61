with claimed as (
    insert into citus_pulumi.stack as stack (name) values (%(cluster_id)s)
    on conflict (only_one) do update set name = excluded.name where stack.name = %(before)s
    returning name
)
select name from claimed union all select name from citus_pulumi.stack limit 1
