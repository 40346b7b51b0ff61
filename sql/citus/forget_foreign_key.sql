delete from citus_pulumi.foreign_key where child_schema = %(schema)s and child_name = %(child)s and name = %(name)s
