insert into citus_pulumi.foreign_key (child_schema, child_name, name, parent_schema, parent_name, definition)
values (%(child_schema)s, %(child_name)s, %(name)s, %(parent_schema)s, %(parent_name)s, %(definition)s)
