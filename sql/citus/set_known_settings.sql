-- What a session of ours must not take from its role, its database or the server, and what the connection itself cannot set:
-- settings for superusers, those of newer servers, and those of Citus. A name that this server does not know is passed over.
-- Of the rest of Citus and PL/pgSQL, what somebody set for the role or the database is taken back.
with known (name, value) as (
    values
        ('transaction_timeout', '0'),
        ('session_replication_role', 'origin'),
        ('lc_messages', 'C'),
        ('citus.enable_ddl_propagation', 'on'),
        ('citus.enable_metadata_sync', 'on'),
        ('citus.enable_create_type_propagation', 'on'),
        ('citus.enable_create_role_propagation', 'on'),
        ('citus.enable_alter_role_propagation', 'on'),
        ('citus.enable_alter_role_set_propagation', 'on'),
        ('citus.create_object_propagation', 'immediate'),
        ('citus.multi_shard_modify_mode', 'parallel'),
        ('citus.propagate_set_commands', 'none'),
        ('citus.shard_replication_factor', '1'),
        ('citus.use_citus_managed_tables', 'off'),
        ('citus.enable_local_reference_table_foreign_keys', 'on'),
        ('citus.enable_schema_based_sharding', 'off'),
        ('citus.enable_unsafe_triggers', 'off'),
        ('citus.allow_unsafe_constraints', 'off'),
        ('citus.skip_constraint_validation', 'off'),
        ('citus.count_distinct_error_rate', '0'),
        ('citus.limit_clause_row_fetch_count', '-1')
)
select pg_catalog.set_config(s.name, coalesce(k.value, s.boot_val, ''), false)
from pg_catalog.pg_settings s
left join known k using (name)
where (s.context = 'user'
       or s.context = 'superuser' and (select rolsuper from pg_catalog.pg_roles where rolname = current_user))
  and (k.name is not null
       or s.name ~ '^(citus|plpgsql)\.' and s.source in ('database', 'user', 'database user', 'global'))
  and s.setting is distinct from coalesce(k.value, s.boot_val, '')
