-- Those that a person created: not those of constraints, nor their copies on partitions.
select n.nspname::text as schema, c.relname::text as table, t.tgname::text as name
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and coalesce((pg_catalog.to_jsonb(t) ->> 'tgparentid')::oid, 0) = 0
order by t.oid
