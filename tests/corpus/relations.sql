-- What PostgreSQL made of a schema: to compare it with what the reader made of the same text. A partition's own copies of its
-- table's keys and foreign keys are left out.
with tables as (
    select c.oid, c.relispartition, jsonb_build_array(n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^(pg_|information_schema|citus|columnar)'
)
select name, relispartition,
    (
        select coalesce(jsonb_agg(jsonb_build_array(
            a.attname,
            case when tn.nspname in ('pg_catalog', 'public') then '' else tn.nspname || '.' end
                || coalesce(e.typname || '[]', t.typname),
            a.attnotnull, a.attidentity <> '', a.attgenerated <> '',
            coalesce(pg_get_expr(d.adbin, d.adrelid) like '%%nextval(%%' and a.attgenerated = '', false)
        ) order by a.attnum), '[]')
        from pg_attribute a
        join pg_type t on t.oid = a.atttypid
        join pg_namespace tn on tn.oid = t.typnamespace
        left join pg_type e on e.oid = t.typelem and t.typname = '_' || e.typname
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = tables.oid and a.attnum > 0 and not a.attisdropped
    ),
    (
        select coalesce(jsonb_agg(jsonb_build_array(i.relname, x.indisprimary, (
            select jsonb_agg(coalesce(a.attname, '<expression>') order by place)
            from unnest(x.indkey[0:x.indnkeyatts - 1]) with ordinality as part (number, place)
            left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = number and number <> 0
        )) order by i.relname), '[]')
        from pg_index x join pg_class i on i.oid = x.indexrelid
        where x.indrelid = tables.oid and (x.indisunique or x.indisexclusion) and not i.relispartition
    ),
    (
        select coalesce(jsonb_agg(jsonb_build_array(
            conname, parent.name, confupdtype, confdeltype, confmatchtype, (
                select jsonb_agg(a.attname order by place)
                from unnest(conkey) with ordinality as part (number, place)
                join pg_attribute a on a.attrelid = conrelid and a.attnum = number
            )
        ) order by conname), '[]')
        from pg_constraint join tables as parent on parent.oid = confrelid
        where contype = 'f' and conrelid = tables.oid and conparentid = 0
    )
from tables
