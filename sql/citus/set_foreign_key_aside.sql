insert into citus_pulumi.foreign_key (child_schema, child_name, name, parent_schema, parent_name, definition)
values (%(child_schema)s, %(child_name)s, %(name)s, %(parent_schema)s, %(parent_name)s, %(definition)s)
on conflict (child_schema, child_name, name) do update
set parent_schema = excluded.parent_schema, parent_name = excluded.parent_name, definition = excluded.definition
