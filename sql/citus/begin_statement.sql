-- A statement that runs outside a transaction is written down before it begins, with what it leaves if it is interrupted.
insert into citus_pulumi.statement (file_name, number, sha256, done, leaves)
values (%(file_name)s, %(number)s, %(sha256)s, false, %(leaves)s)
on conflict (file_name, number) do update set sha256 = excluded.sha256, leaves = excluded.leaves
