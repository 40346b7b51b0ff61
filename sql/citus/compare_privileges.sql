-- What a role is to hold in this database and what it holds: a row for each privilege on an object, as GRANT and REVOKE take them.
-- Citus hides shards from this session. Privileges that some objects may have or not (`optional`) are of those that an extension made, and sequences of identity columns.
with r as (
    select oid, rolname from pg_catalog.pg_roles where rolname = %(role)s
),
area as (
    select n.oid, n.nspname, n.nspname = any(%(write)s::name[]) as writes
    from pg_catalog.pg_namespace n
    where n.nspname = any(%(read)s::name[]) or n.nspname = any(%(write)s::name[])
),
member as (
    select classid, objid from pg_catalog.pg_depend where deptype in ('e', 'i') and objsubid = 0
),
relation as (
    select c.oid,
           c.relnamespace,
           c.relkind,
           c.relacl,
           case c.relkind when 'S' then 'sequence' else 'table' end as kind,
           pg_catalog.format('%%I.%%I', n.nspname, c.relname) as object
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join r
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and c.relowner <> r.oid
      and c.relpersistence <> 't'
),
wanted (kind, object, privilege, optional) as (
    select 'database', pg_catalog.quote_ident(pg_catalog.current_database()), 'CONNECT', false
    where %(connects)s
    union all
    select 'schema', pg_catalog.quote_ident(nspname), 'USAGE', false from area
    union all
    select it.kind, it.object, it.privilege, exists (
        select from member m where m.classid = 'pg_catalog.pg_class'::regclass and m.objid = it.oid
    )
    from (
        select c.oid, c.kind, c.object, p.privilege
        from relation c
        join area on area.oid = c.relnamespace
        cross join lateral (values ('SELECT', false), ('INSERT', true), ('UPDATE', true), ('DELETE', true)) p (privilege, writes)
        where c.kind = 'table' and (area.writes or not p.writes)
        union all
        select c.oid, c.kind, c.object, p.privilege
        from relation c
        join area on area.oid = c.relnamespace
        cross join lateral (values ('SELECT', false), ('USAGE', true)) p (privilege, writes)
        where c.kind = 'sequence' and (area.writes or not p.writes)
    ) it
    union all
    select case f.prokind when 'p' then 'procedure' else 'function' end,
           pg_catalog.format('%%I.%%I(%%s)', area.nspname, f.proname, pg_catalog.oidvectortypes(f.proargtypes)),
           'EXECUTE',
           exists (select from member m where m.classid = 'pg_catalog.pg_proc'::regclass and m.objid = f.oid)
    from pg_catalog.pg_proc f
    join area on area.oid = f.pronamespace and area.writes
    cross join r
    where f.proowner <> r.oid
    union all
    select 'default', pg_catalog.format('for role %%I in schema %%I', session_user, area.nspname), p.privilege, false
    from area
    cross join lateral (
        values ('SELECT ON TABLES', false), ('INSERT ON TABLES', true), ('UPDATE ON TABLES', true), ('DELETE ON TABLES', true),
               ('SELECT ON SEQUENCES', false), ('USAGE ON SEQUENCES', true), ('EXECUTE ON FUNCTIONS', true)
    ) p (privilege, writes)
    where area.writes or not p.writes
),
held (kind, object, privilege, grantable, grantor) as (
    select c.kind, c.object, a.privilege_type, a.is_grantable, a.grantor
    from relation c
    cross join r
    cross join lateral pg_catalog.aclexplode(c.relacl) a
    where a.grantee = r.oid
    union all
    select 'column', c.object, a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_attribute t
    join relation c on c.oid = t.attrelid
    cross join r
    cross join lateral pg_catalog.aclexplode(t.attacl) a
    where a.grantee = r.oid and t.attnum > 0 and not t.attisdropped
    union all
    select 'schema', pg_catalog.quote_ident(n.nspname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_namespace n
    cross join r
    cross join lateral pg_catalog.aclexplode(n.nspacl) a
    where a.grantee = r.oid and n.nspowner <> r.oid
    union all
    select case f.prokind when 'p' then 'procedure' else 'function' end,
           pg_catalog.format('%%I.%%I(%%s)', n.nspname, f.proname, pg_catalog.oidvectortypes(f.proargtypes)),
           a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_proc f
    join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    cross join r
    cross join lateral pg_catalog.aclexplode(f.proacl) a
    where a.grantee = r.oid and f.proowner <> r.oid
    union all
    select 'database', pg_catalog.quote_ident(d.datname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_database d
    cross join r
    cross join lateral pg_catalog.aclexplode(d.datacl) a
    where a.grantee = r.oid and d.datdba <> r.oid
    union all
    select 'type', pg_catalog.format('%%I.%%I', n.nspname, t.typname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_type t
    join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    cross join r
    cross join lateral pg_catalog.aclexplode(t.typacl) a
    where a.grantee = r.oid and t.typowner <> r.oid
    union all
    select 'language', pg_catalog.quote_ident(l.lanname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_language l
    cross join r
    cross join lateral pg_catalog.aclexplode(l.lanacl) a
    where a.grantee = r.oid and l.lanowner <> r.oid
    union all
    select 'foreign server', pg_catalog.quote_ident(s.srvname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_foreign_server s
    cross join r
    cross join lateral pg_catalog.aclexplode(s.srvacl) a
    where a.grantee = r.oid and s.srvowner <> r.oid
    union all
    select 'foreign data wrapper', pg_catalog.quote_ident(w.fdwname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_foreign_data_wrapper w
    cross join r
    cross join lateral pg_catalog.aclexplode(w.fdwacl) a
    where a.grantee = r.oid and w.fdwowner <> r.oid
    union all
    select 'large object', l.oid::text, a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_largeobject_metadata l
    cross join r
    cross join lateral pg_catalog.aclexplode(l.lomacl) a
    where a.grantee = r.oid and l.lomowner <> r.oid
    union all
    select 'tablespace', pg_catalog.quote_ident(s.spcname), a.privilege_type, a.is_grantable, a.grantor
    from pg_catalog.pg_tablespace s
    cross join r
    cross join lateral pg_catalog.aclexplode(s.spcacl) a
    where a.grantee = r.oid and s.spcowner <> r.oid
    union all
    select 'default',
           pg_catalog.format('for role %%I', pg_catalog.pg_get_userbyid(d.defaclrole)) || case when n.oid is null then '' else pg_catalog.format(' in schema %%I', n.nspname) end,
           a.privilege_type || ' ON ' || case d.defaclobjtype
               when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS' when 'T' then 'TYPES' else 'SCHEMAS'
           end,
           a.is_grantable, a.grantor
    from pg_catalog.pg_default_acl d
    left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
    cross join r
    cross join lateral pg_catalog.aclexplode(d.defaclacl) a
    where a.grantee = r.oid and d.defaclrole <> r.oid
)
select coalesce(w.kind, h.kind),
       coalesce(w.object, h.object),
       coalesce(w.privilege, h.privilege),
       w.privilege is not null,
       h.privilege is not null,
       coalesce(h.grantable, false),
       case when h.grantor is not null then pg_catalog.pg_get_userbyid(h.grantor) end
from wanted w
full join held h on h.kind = w.kind and h.object = w.object and h.privilege = w.privilege
where (w.privilege is null or h.privilege is null or h.grantable)
  and not (coalesce(w.optional, false) and h.privilege is null)
order by 1, 2, 3
