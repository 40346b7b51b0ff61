-- Of this cluster: a row of the one that was backed up says nothing.
select proved_at is not null from citus_pulumi.restored where cluster = (select name from citus_pulumi.stack)
