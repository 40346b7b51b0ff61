insert into citus_pulumi.script (file_name, sha256) values (%(file_name)s, %(sha256)s)
