select definition
from citus_pulumi.foreign_key
where (child_schema = %(schema)s and child_name = %(name)s) or (parent_schema = %(schema)s and parent_name = %(name)s)
order by child_schema, child_name, name
