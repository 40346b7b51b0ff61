-- Statements that give back what Citus leaves behind when it writes a table anew: comments, and of the views on the table,
-- which it makes anew too, the grants and the indexes.
with recursive relation (oid) as (
    select relid::oid from pg_catalog.pg_partition_tree(%(table)s::regclass)
    union
    select %(table)s::regclass::oid
    union
    select r.ev_class
    from relation
    join pg_catalog.pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = relation.oid
    join pg_catalog.pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
),
object (class, oid) as (
    select 'pg_class'::regclass::oid, oid from relation
    union all
    select 'pg_class'::regclass, i.indexrelid from relation join pg_catalog.pg_index i on i.indrelid = relation.oid
    union all
    select 'pg_constraint'::regclass, k.oid
    from relation
    join pg_catalog.pg_constraint k on k.conrelid = relation.oid and k.contype <> 'f'
    union all
    select 'pg_policy'::regclass, p.oid from relation join pg_catalog.pg_policy p on p.polrelid = relation.oid
    union all
    select 'pg_statistic_ext'::regclass, s.oid from relation join pg_catalog.pg_statistic_ext s on s.stxrelid = relation.oid
),
view (oid, owner, acl, kind) as (
    select c.oid, c.relowner, c.relacl, c.relkind
    from relation
    join pg_catalog.pg_class c on c.oid = relation.oid and c.relkind in ('v', 'm')
)
-- Indexes first, for their comments.
select 1, regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' INDEX ', ' INDEX IF NOT EXISTS ')
from view
join pg_catalog.pg_index i on i.indrelid = view.oid
union all
select 2,
       format(
           'comment on %%s %%s is %%L',
           case
               when d.objsubid > 0 then 'column'
               else regexp_replace(regexp_replace(o.type, '^table ', ''), ' object$', '')
           end,
           o.identity,
           d.description
       )
from object
join pg_catalog.pg_description d on d.classoid = object.class and d.objoid = object.oid
cross join pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) o
union all
select 3,
       format(
           'grant %%s on %%s to %%s%%s',
           a.privilege_type,
           view.oid::regclass,
           case when a.grantee = 0 then 'public' else quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
           case when a.is_grantable then ' with grant option' end
       )
from view
cross join pg_catalog.aclexplode(view.acl) a
where a.grantee <> view.owner
order by 1, 2
