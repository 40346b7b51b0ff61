-- Asks every placement of a distributed table how many rows of these values it holds: the proof that they lie where they
-- are declared, and nowhere else. Reads the shards themselves, not what the catalog says of them.
select p.nodename || ':' || p.nodeport as node, counted.value, sum(counted.count::bigint)::bigint as rows
from pg_catalog.run_command_on_placements(
    %(table)s::regclass,
    format(
        'select coalesce(json_object_agg(value, n), ''{}'') from (select %%1$I::text as value, count(*) as n from %%%%s '
        'where %%1$I::text = any(%%2$L::text[]) group by 1) counted',
        %(column)s::text,
        %(values)s::text[]
    )
) p,
json_each_text(p.result::json) counted (value, count)
where p.success or p.result::json is not null  -- an error is no answer: it fails here
group by 1, 2
order by 1, 2
