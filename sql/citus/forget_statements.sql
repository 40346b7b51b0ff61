delete from citus_pulumi.statement where file_name = %(file_name)s
