-- By which the coordinator has the node's own pgBackRest run. Runs on each node. Who may not run programs cannot use them either.
do $do$
begin
    set local citus.enable_ddl_propagation = off;
    set local client_min_messages = warning;
    create schema if not exists citus_pulumi;

    -- What a command of the shell prints; its last line begins with "ended", and has its exit code.
    create or replace function citus_pulumi.run(command text)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        said text;
    begin
        set local client_min_messages = warning;
        create temporary table if not exists citus_pulumi_said (line text) on commit drop;
        delete from citus_pulumi_said;
        execute format(
            $copy$copy citus_pulumi_said from program %L with (format csv, quote E'\x01', delimiter E'\x02')$copy$,
            format(E'{ %s ; } </dev/null 2>&1; printf "\\nended %%s\\n" $?', command)
        );
        select string_agg(line, E'\n' order by ctid) into said from citus_pulumi_said;
        return said;
    end
    $$;

    -- What pgBackRest answers at once; an error where it fails.
    create or replace function citus_pulumi.pgbackrest(arguments text, program text default 'pgbackrest')
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        said text := citus_pulumi.run(format('%s %s', program, arguments));
    begin
        if said !~ 'ended 0$' then
            raise exception '%', regexp_replace(said, '\s*ended \d+$', '');
        end if;
        return regexp_replace(said, '\s*ended 0$', '');
    end
    $$;

    -- Ends a backup that was begun and has not ended: of a run that failed on another node, or was cut off.
    create or replace function citus_pulumi.end_backup()
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select citus_pulumi.run(
            'cd "$(dirname "$PGBACKREST_CONFIG")"; process=$(cat backup.pid); '
            'if [ ! -f backup.code ] && grep -aq pgbackrest "/proc/$process/cmdline"; then '
            'kill -s TERM -- "-$process"; tries=0; '
            'while kill -s 0 -- "-$process" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done; fi'
        )
    $$;

    -- Begins a backup, which goes on by itself: a statement that takes hours would keep vacuum from its work.
    -- No signal ends the shell before it has noted how pgBackRest ended.
    create or replace function citus_pulumi.begin_backup(kind text, name text, complete text[])
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $body$
    begin
        perform citus_pulumi.end_backup();
        perform citus_pulumi.remove_incomplete(complete);
        return citus_pulumi.run(format(
            'cd "$(dirname "$PGBACKREST_CONFIG")" && rm -f backup.code backup.pid && echo %L >backup.server && '
            '{ setsid sh -c %L >/dev/null 2>&1 & }',
            extract(epoch from pg_postmaster_start_time()),
            format(
                'trap : TERM; echo $$ >backup.pid; pgbackrest --type=%s --annotation=name=%s backup >backup.log 2>&1; echo $? >backup.new; mv backup.new backup.code',
                kind, name
            )
        ));
    end
    $body$;

    -- Tells `running` after some seconds, `done`, or why it failed. The node itself waits: each question takes a connection, and time
    -- of the processors that the backup needs. Whether it is alive is looked at before its code is: one that ends between the two
    -- has left that.
    create or replace function citus_pulumi.wait_for_backup()
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select regexp_replace(
            citus_pulumi.run(format(
                'cd "$(dirname "$PGBACKREST_CONFIG")"; tries=0; '
                'goes_on() { [ ! -s backup.pid ] || kill -0 "$(cat backup.pid)" 2>/dev/null; }; '
                'while [ ! -f backup.code ] && goes_on && [ $tries -lt 25 ]; do sleep 0.2; tries=$((tries + 1)); done; '
                'alive=no; if goes_on; then alive=yes; fi; '
                'if [ "$(cat backup.server)" != %L ]; then echo the server was started again meanwhile; '
                'elif [ ! -f backup.code ]; then if [ $alive = yes ]; then echo running; else echo the backup was killed; fi; '
                'elif grep -qx 0 backup.code; then echo done; '
                'elif grep -q ERROR backup.log; then cat backup.log; '
                'else echo "pgBackRest ended with $(cat backup.code)"; fi',
                extract(epoch from pg_postmaster_start_time())
            )),
            '\s*ended \d+$', ''
        )
    $$;

    -- Waits some seconds for the node's own file, of those that are given by group; returns the newest that is archived.
    create or replace function citus_pulumi.wait_until_archived(files jsonb)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        needed constant text := files ->> (select groupid from pg_dist_local_group)::text;
        archived text;
    begin
        for tries in 1 .. 50 loop
            perform pg_stat_clear_snapshot();
            select coalesce(last_archived_wal, '') into archived from pg_stat_archiver;
            exit when archived collate "C" >= needed;
            perform pg_sleep(0.1);
        end loop;
        return archived;
    end
    $$;

    -- What the repository holds of all nodes, as JSON.
    create or replace function citus_pulumi.get_info()
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select citus_pulumi.pgbackrest('info --output=json', 'env -u PGBACKREST_STANZA pgbackrest')
    $$;

    -- What the repository holds of the node. pgBackRest succeeds where it cannot read it: that must not be taken for an empty one.
    create or replace function citus_pulumi.read_stanza()
    returns jsonb
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        told constant jsonb := citus_pulumi.pgbackrest('info --output=json');
        problem text;
    begin
        select string_agg(it -> 'status' ->> 'message', '; ') into problem
        from jsonb_array_elements(told) stanza, jsonb_array_elements(stanza -> 'repo') it
        where (it -> 'status' ->> 'code')::int not in (0, 2);
        if problem is not null or told = '[]' then
            raise exception 'the repository cannot be read: %', coalesce(problem, 'it does not know this node');
        end if;
        return told;
    end
    $$;

    -- Those of the node's backups, as pgBackRest describes them.
    create or replace function citus_pulumi.get_backups()
    returns table (label text, name text, is_complete boolean, needs jsonb, archived text, ended timestamptz)
    language sql
    set search_path = pg_catalog, pg_temp
    as $$
        select
            backup ->> 'label',
            backup -> 'annotation' ->> 'name',
            backup -> 'annotation' ? 'point',
            coalesce(nullif(backup -> 'reference', 'null'), '[]'),
            (select max(archive ->> 'max' collate "C") from jsonb_array_elements(stanza -> 'archive') archive),
            to_timestamp((backup -> 'timestamp' ->> 'stop')::bigint)
        from
            jsonb_array_elements(citus_pulumi.read_stanza()) stanza,
            jsonb_array_elements(stanza -> 'backup') backup
        order by 1
    $$;

    -- Removes what no complete backup of the cluster needs: left by one that failed on this node or on another. What is marked
    -- as complete on the node itself is never removed.
    -- The only full backup of a node stays: pgBackRest removes none before there is another.
    create or replace function citus_pulumi.remove_incomplete(complete text[])
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        removed text[] := '{}';
        found record;
    begin
        for found in
            with there as materialized (select * from citus_pulumi.get_backups())
            select b.label
            from there b
            where not b.is_complete
              and b.name <> all (complete)
              and not exists (select from there c where (c.is_complete or c.name = any (complete)) and c.needs ? b.label)
              and (b.needs <> '[]' or exists (select from there c where c.needs = '[]' and c.label <> b.label))
            order by b.label desc
        loop
            perform citus_pulumi.run(format('pgbackrest --set=%s expire', found.label));
            removed := removed || found.label;
        end loop;
        return array_to_string(removed, ' ');
    end
    $$;

    -- A restore goes along one of them: each begins where an earlier restore ended.
    create or replace function citus_pulumi.get_timeline()
    returns int
    language sql
    set search_path = pg_catalog, pg_temp
    as $$select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int$$;

    -- An older library does not serve it: what is restored needs one that is as new.
    create or replace function citus_pulumi.get_extension()
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $$select extversion from pg_extension where extname = 'citus'$$;

    -- Marks the node's part of a backup as complete, once the write-ahead log up to its point is in the repository.
    -- The coordinator's is marked last: it stands for all.
    create or replace function citus_pulumi.complete_backup(backup text, files jsonb, annotations text, of_coordinator boolean)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        made record;
        own constant int := (select groupid from pg_dist_local_group);
        needed constant text := files ->> own::text;
    begin
        if (own = 0) <> of_coordinator then
            return '';
        end if;
        select * into made from citus_pulumi.get_backups() b where b.name = backup order by label desc limit 1;
        if made is null then
            raise exception 'the backup % is not in the repository', backup;
        end if;
        if made.archived collate "C" < needed then
            raise exception 'the write-ahead log % is not in the repository, which has it up to %', needed, made.archived;
        end if;
        perform citus_pulumi.pgbackrest(format(
            '--set=%s --annotation=group=%s --annotation=timeline=%s --annotation=citus=%s %s annotate',
            made.label, own, citus_pulumi.get_timeline(), citus_pulumi.get_extension(), annotations
        ));
        return made.label;
    end
    $$;

    -- Notes a further point with the node's part of a backup; the coordinator's stands for all, as above.
    create or replace function citus_pulumi.note_point(backup text, point text, moment text, of_coordinator boolean)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $$
    declare
        made text;
    begin
        if ((select groupid from pg_dist_local_group) = 0) <> of_coordinator then
            return '';
        end if;
        select label into made from citus_pulumi.get_backups() b where b.name = backup order by label desc limit 1;
        if made is null then
            raise exception 'the backup % is not in the repository', backup;
        end if;
        perform citus_pulumi.pgbackrest(
            format(
                '--set=%s --annotation=%s=%s/%s/%s annotate',
                made, point, moment, citus_pulumi.get_timeline(), citus_pulumi.get_extension()
            )
        );
        return made;
    end
    $$;

    revoke all on function
        citus_pulumi.run, citus_pulumi.pgbackrest, citus_pulumi.end_backup, citus_pulumi.begin_backup, citus_pulumi.wait_for_backup,
        citus_pulumi.wait_until_archived,
        citus_pulumi.get_info, citus_pulumi.read_stanza, citus_pulumi.get_backups, citus_pulumi.remove_incomplete, citus_pulumi.complete_backup,
        citus_pulumi.note_point, citus_pulumi.get_timeline, citus_pulumi.get_extension
    from public;
end
$do$
