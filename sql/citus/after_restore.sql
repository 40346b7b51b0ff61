-- What a node that was restored is told before it meets others, by psql and without Citus: who it and they are now.
\set password `cat "$RESTORE_FOLDER/restore-password"`
\set user `cat "$RESTORE_FOLDER/restore-user"`
\set nodes `cat "$RESTORE_FOLDER/restore-nodes.json"`
\set cluster `cat "$RESTORE_FOLDER/restore-cluster"`
\set point `cat "$RESTORE_FOLDER/restore-point"`

-- Citus's triggers would call its library, which is not loaded.
set session_replication_role = replica;
begin;
alter role :"user" password :'password';
update pg_catalog.pg_dist_node node
set nodename = it.name, nodeport = it.port
from pg_catalog.json_to_recordset(:'nodes') as it (groupid int, name text, port int)
where node.groupid = it.groupid;

select pg_catalog.to_regclass('citus_pulumi.stack') is not null as is_coordinator \gset
\if :is_coordinator
    update citus_pulumi.stack set name = :'cluster';
    create table if not exists citus_pulumi.restored (
        cluster    text primary key,
        point      text not null,
        proved_at  timestamptz
    );
    delete from citus_pulumi.restored;
    -- Backups of the cluster that was backed up: this one has none yet.
    select pg_catalog.to_regclass('citus_pulumi.backup_run') is not null as has_backups \gset
    \if :has_backups
        delete from citus_pulumi.backup_run;
    \endif
    insert into citus_pulumi.restored (cluster, point) values (:'cluster', :'point');
\endif
select pg_catalog.length(:'point') = 0 as is_alone \gset
\if :is_alone
    -- Until when it has what was committed: noted until the coordinator has proved it, and taken it back.
    select coalesce(pg_catalog.pg_last_xact_replay_timestamp(), checkpoint_time) as moment from pg_catalog.pg_control_checkpoint() \gset
    alter database :"DBNAME" set citus_pulumi.restored = :'moment';
\endif
commit;
