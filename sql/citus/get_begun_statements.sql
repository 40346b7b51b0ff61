select number, sha256, done, leaves from citus_pulumi.statement where file_name = %(file_name)s
