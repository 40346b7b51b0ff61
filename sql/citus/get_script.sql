select sha256 from citus_pulumi.script where file_name = %(file_name)s
