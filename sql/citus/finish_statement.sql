insert into citus_pulumi.statement (file_name, number, sha256, done)
values (%(file_name)s, %(number)s, %(sha256)s, true)
on conflict (file_name, number) do update set sha256 = excluded.sha256, done = true
