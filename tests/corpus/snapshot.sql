-- What a table looks like to PostgreSQL: to compare one that is sharded with one that is not, after the same statements.
with it as (select pg_catalog.to_regclass(%(name)s)::oid as oid)
select jsonb_build_object(
    'columns', (
        select jsonb_agg(jsonb_build_array(
            a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity,
            a.attgenerated, col_description(a.attrelid, a.attnum), a.attcollation::regcollation, a.attcompression
        ) order by a.attname)
        from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = it.oid and a.attnum > 0 and not a.attisdropped and a.attname <> 'tie'
    ),
    'constraints', (
        select jsonb_agg(jsonb_build_array(
            conname, contype, pg_get_constraintdef(c.oid), convalidated, obj_description(c.oid, 'pg_constraint')
        ) order by conname)
        from pg_constraint c where conrelid = it.oid and conname !~ 'tie'
    ),
    'indexes', (
        select jsonb_agg(jsonb_build_array(i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)) order by i.indexrelid::regclass::text)
        from pg_index i where i.indrelid = it.oid
    ),
    'policies', (
        select jsonb_agg(jsonb_build_array(polname, pg_get_expr(polqual, polrelid)) order by polname)
        from pg_policy where polrelid = it.oid
    ),
    'sequences', (
        select jsonb_agg(jsonb_build_array(s.seqrelid::regclass, s.seqtypid::regtype) order by s.seqrelid::regclass::text)
        from pg_depend p join pg_sequence s on s.seqrelid = p.objid
        where p.refobjid = it.oid and p.deptype in ('a', 'i')
    ),
    'table', (
        select jsonb_build_array(relpersistence, reloptions, relrowsecurity, relforcerowsecurity, ascii(relreplident), relacl,
            obj_description(it.oid, 'pg_class'))
        from pg_class where pg_class.oid = it.oid
    )
)::text
from it where it.oid is not null
