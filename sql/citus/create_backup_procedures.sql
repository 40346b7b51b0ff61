-- By which a cluster is backed up, on the coordinator alone: from any client, `call citus_pulumi.backup('incr')`.
do $do$
begin
    set local citus.enable_ddl_propagation = off;
    set local client_min_messages = warning;
    create schema if not exists citus_pulumi;

    create table if not exists citus_pulumi.backup_run (
        number     bigint generated always as identity primary key,
        name       text not null,
        kind       text not null,
        started_at timestamptz not null default clock_timestamp(),
        ended_at   timestamptz,
        error      text
    );

    -- What each node answers to a command, by its group.
    create or replace function citus_pulumi.ask_nodes(command text)
    returns table (groupid int, node text, success boolean, result text)
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select n.groupid, format('%s:%s', n.nodename, n.nodeport), r.success, r.result
        from run_command_on_all_nodes(command, give_warning_for_connection_errors := false) r
        join pg_dist_node n using (nodeid)
        order by n.groupid
    $$;

    -- What nodes refused, on one line; null where none did.
    create or replace function citus_pulumi.find_refusals(command text)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select string_agg(format('%s: %s', node, regexp_replace(result, '\s+', ' ', 'g')), '; ' order by groupid)
        from citus_pulumi.ask_nodes(command)
        where not success
    $$;

    -- Makes a restore point on every node and has the write-ahead log up to it archived; the last file of each node by its group.
    create or replace procedure citus_pulumi.archive_up_to(
        point text, deadline timestamptz, inout files jsonb, inout moment timestamptz, inout problem text
    )
    language plpgsql
    as $$
    declare
        waiting text;
    begin
        moment := clock_timestamp();
        perform pg_catalog.citus_create_restore_point(point);
        commit;
        select pg_catalog.jsonb_object_agg(groupid, result), pg_catalog.string_agg(node || ': ' || result, '; ') filter (where not success)
        into files, problem
        from citus_pulumi.ask_nodes('select pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal())');
        commit;
        while problem is null loop
            select
                pg_catalog.string_agg(node, ', ') filter (where not success or result collate "C" < files ->> groupid::text),
                pg_catalog.string_agg(node || ': ' || result, '; ') filter (where not success)
            into waiting, problem
            from citus_pulumi.ask_nodes(pg_catalog.format('select citus_pulumi.wait_until_archived(%L)', files));
            commit;
            exit when waiting is null;
            if clock_timestamp() > deadline then
                problem := pg_catalog.format(
                    'the write-ahead log of %s was not archived in time: the log of the node''s server says why', waiting
                );
            else
                raise notice 'waiting until the write-ahead log of % is archived', waiting;
            end if;
        end loop;
    end
    $$;

    create or replace function citus_pulumi.as_iso(moment timestamptz)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$select to_char(moment at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')$$;

    -- What is begun at a moment: two points within one second are two.
    create or replace function citus_pulumi.as_name(moment timestamptz)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$select to_char(moment at time zone 'utc', 'YYYYMMDD"T"HH24MISS.MS"Z"')$$;

    -- A backup of all nodes, and a point to which all of them can be restored; complete once all of that is in the repository.
    create or replace procedure citus_pulumi.backup(
        kind text default 'incr',
        deadline interval default '1 day'
    )
    language plpgsql
    as $$
    declare
        began constant timestamptz := clock_timestamp();
        called constant text := citus_pulumi.as_name(began);
        point constant text := 'citus-pulumi-' || called;
        complete text[];
        files jsonb;
        moment timestamptz;
        waiting text;
        problem text;
        run bigint;
        command text;
    begin
        if kind not in ('full', 'diff', 'incr') then
            raise exception 'a backup is full, diff or incr, and not %', kind;
        end if;
        if not pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('citus_pulumi.backup')) then
            raise exception 'another backup of this cluster is under way';
        end if;
        insert into citus_pulumi.backup_run (name, kind) values (called, kind) returning number into run;
        commit;
        begin
            select coalesce(pg_catalog.array_agg(name), '{}') into complete from citus_pulumi.get_backups() where is_complete;
        exception when others then
            problem := sqlerrm;
        end;
        commit;
        if problem is null then
            raise notice 'backup % of all nodes begins', called;
            problem := citus_pulumi.find_refusals(
                pg_catalog.format('select citus_pulumi.begin_backup(%L, %L, %L)', kind, called, complete)
            );
            commit;
        end if;
        while problem is null loop
            select
                pg_catalog.string_agg(node, ', ') filter (where result = 'running'),
                pg_catalog.string_agg(
                    pg_catalog.format('%s: %s', node, pg_catalog.regexp_replace(result, '\s+', ' ', 'g')), '; '
                ) filter (where not success or result not in ('running', 'done'))
            into waiting, problem
            from citus_pulumi.ask_nodes('select citus_pulumi.wait_for_backup()');
            commit;
            exit when problem is not null or waiting is null;
            if clock_timestamp() > began + deadline then
                problem := pg_catalog.format('the backup of %s did not end within %s', waiting, deadline);
            else
                raise notice 'waiting until the backup of % ends', waiting;
            end if;
        end loop;
        if problem is null then
            call citus_pulumi.archive_up_to(point, began + deadline, files, moment, problem);
        end if;
        if problem is null then
            command := pg_catalog.format(
                'select citus_pulumi.complete_backup(%L, %L, %L', called, files,
                pg_catalog.format('--annotation=point=%s --annotation=moment=%s', point, citus_pulumi.as_iso(moment))
            );
            problem := coalesce(
                citus_pulumi.find_refusals(command || ', false)'), citus_pulumi.find_refusals(command || ', true)')
            );
            commit;
        end if;
        if problem is null then
            problem := citus_pulumi.find_refusals($ask$select citus_pulumi.pgbackrest('expire')$ask$);
            commit;
        end if;
        if problem is not null then
            perform citus_pulumi.find_refusals('select citus_pulumi.end_backup()');
            commit;
        end if;
        update citus_pulumi.backup_run set ended_at = clock_timestamp(), error = problem where number = run;
        commit;
        perform pg_catalog.pg_advisory_unlock(pg_catalog.hashtext('citus_pulumi.backup'));
        if problem is not null then
            raise exception 'backup % is not complete: %', called, problem;
        end if;
        raise notice 'backup % is complete: all nodes can be restored to %', called, point;
    end
    $$;

    -- A further point to which all nodes can be restored, noted with their newest complete backup.
    create or replace procedure citus_pulumi.make_restore_point(deadline interval default '10 minutes')
    language plpgsql
    as $$
    declare
        began constant timestamptz := clock_timestamp();
        point constant text := 'citus-pulumi-' || citus_pulumi.as_name(began);
        files jsonb;
        moment timestamptz;
        problem text;
        latest text;
        command text;
    begin
        select name into latest from citus_pulumi.get_backups() where is_complete order by label desc limit 1;
        if latest is null then
            raise exception 'there is no complete backup yet, so nothing could be restored to a further point';
        end if;
        commit;
        call citus_pulumi.archive_up_to(point, began + deadline, files, moment, problem);
        if problem is not null then
            raise exception 'the restore point % cannot be used: %', point, problem;
        end if;
        command := pg_catalog.format('select citus_pulumi.note_point(%L, %L, %L', latest, point, citus_pulumi.as_iso(moment));
        problem := coalesce(
            citus_pulumi.find_refusals(command || ', false)'), citus_pulumi.find_refusals(command || ', true)')
        );
        commit;
        if problem is not null then
            raise exception 'the restore point % cannot be used: %', point, problem;
        end if;
        raise notice 'all nodes can be restored to %', point;
    end
    $$;
    revoke all on function citus_pulumi.ask_nodes, citus_pulumi.find_refusals, citus_pulumi.as_iso, citus_pulumi.as_name from public;
    revoke all on procedure citus_pulumi.archive_up_to, citus_pulumi.backup, citus_pulumi.make_restore_point from public;
end
$do$
