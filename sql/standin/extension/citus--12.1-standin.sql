-- A stand-in for Citus 12.1 on a stock PostgreSQL, in SQL alone: the same catalog, the same functions, the same
-- refusals with the same SQLSTATEs. Rows stay on the coordinator; only the catalog says that they lie elsewhere.
--
-- What stands in pg_catalog has the names that Citus gives it, what stands in citus_standin is the stand-in's own.
--
-- Known to differ: hash distribution alone; workers get the catalog when a transaction commits, but not by two-phase
-- commit; they get no tables; a local table that a foreign key ties to a reference table is not taken in; the extension
-- can be dropped while tables are distributed.

do $$ begin
    raise warning 'this is a stand-in for Citus that moves no rows: use it for tests, never for data';
end $$;

create schema citus;
create schema citus_standin;
create type citus.distribution_type as enum ('hash', 'range', 'append');
create type citus.shard_transfer_mode as enum ('auto', 'force_logical', 'block_writes');
create type pg_catalog.noderole as enum ('primary', 'secondary', 'unavailable');


-- --- the catalog ----------------------------------------------------------------------------------------------------

-- A table is made elsewhere and then moved: nothing may create one in pg_catalog itself.
create sequence citus_standin.nodeid;
create sequence citus_standin.groupid;
create sequence citus_standin.colocationid;
create sequence citus_standin.shardid start 102008;
create sequence citus_standin.placementid;

create table citus.pg_dist_node (
    nodeid           int primary key default nextval('citus_standin.nodeid'),
    groupid          int not null,
    nodename         text not null,
    nodeport         int not null default 5432,
    noderack         text not null default 'default',
    hasmetadata      bool not null default true,
    isactive         bool not null default true,
    noderole         noderole not null default 'primary',
    nodecluster      name not null default 'default',
    metadatasynced   bool not null default true,
    shouldhaveshards bool not null default true,
    constraint pg_dist_node_nodename_nodeport_key unique (nodename, nodeport)
);

create table citus.pg_dist_local_group (groupid int primary key);
insert into citus.pg_dist_local_group values (0);

create table citus.pg_dist_node_metadata (metadata jsonb not null);
insert into citus.pg_dist_node_metadata values (jsonb_build_object('server_id', gen_random_uuid()));

-- Empty: a stand-in commits without two phases.
create table citus.pg_dist_transaction (groupid int not null, gid text not null);

create table citus.pg_dist_colocation (
    colocationid                int primary key default nextval('citus_standin.colocationid'),
    shardcount                  int not null,
    replicationfactor           int not null,
    distributioncolumntype      oid not null,
    distributioncolumncollation oid not null
);

create table citus.pg_dist_object (
    classid                     oid not null,
    objid                       oid not null,
    objsubid                    int not null default 0,
    distribution_argument_index int,
    colocationid                int,
    force_delegation            bool,
    primary key (classid, objid, objsubid)
);

create table citus.pg_dist_schema (
    schemaid     regnamespace primary key,
    colocationid int not null
);

create table citus.pg_dist_partition (
    logicalrelid  regclass primary key,
    partmethod    "char" not null,
    -- Number of the distribution column, so that a column that is renamed stays the one.
    partkey       text,
    colocationid  int not null default 0,
    repmodel      "char" not null,
    autoconverted bool not null default false
);

create table citus.pg_dist_shard (
    logicalrelid  regclass not null,
    shardid       bigint primary key default nextval('citus_standin.shardid'),
    shardstorage  "char" not null default 't',
    shardminvalue text,
    shardmaxvalue text
);

create table citus.pg_dist_placement (
    placementid bigint primary key default nextval('citus_standin.placementid'),
    shardid     bigint not null,
    shardstate  int not null default 1,
    shardlength bigint not null default 0,
    groupid     int not null,
    unique (shardid, groupid)
);

-- Stays empty: nothing that a move leaves is ever there.
create table citus.pg_dist_cleanup (
    record_id     bigint primary key,
    operation_id  bigint not null,
    object_type   int not null,
    object_name   text not null,
    node_group_id int not null,
    policy_type   int not null
);

do $$
declare
    moved text;
begin
    for moved in select tablename from pg_tables where schemaname = 'citus' loop
        execute format('alter table citus.%s set schema pg_catalog', moved);
        execute format('grant select on pg_catalog.%s to public', moved);
    end loop;
end $$;

create function pg_catalog.citus_version() returns text language sql
return 'Citus 12.1-standin, which moves no rows, on ' || version();

create function pg_catalog.column_to_column_name(table_name regclass, column_var_text text) returns text language sql
return (select attname from pg_attribute where attrelid = table_name and attnum = column_var_text::int2);

create view citus.citus_tables as
select p.logicalrelid as table_name,
       case when p.partmethod = 'h' then 'distributed' else 'reference' end as citus_table_type,
       coalesce(column_to_column_name(p.logicalrelid, p.partkey), '<none>') as distribution_column,
       p.colocationid as colocation_id,
       pg_size_pretty(pg_table_size(p.logicalrelid)) as table_size,
       (select count(*) from pg_dist_shard s where s.logicalrelid = p.logicalrelid) as shard_count,
       pg_get_userbyid(c.relowner) as table_owner,
       a.amname as access_method
from pg_dist_partition p
join pg_class c on c.oid = p.logicalrelid
left join pg_am a on a.oid = c.relam
order by p.logicalrelid::text;

create view citus.citus_shards as
select s.logicalrelid as table_name,
       s.shardid,
       format('%s_%s', s.logicalrelid, s.shardid) as shard_name,
       case when p.partmethod = 'h' then 'distributed' else 'reference' end as citus_table_type,
       p.colocationid as colocation_id,
       n.nodename,
       n.nodeport,
       pl.shardlength as shard_size
from pg_dist_shard s
join pg_dist_placement pl using (shardid)
join pg_dist_node n using (groupid)
join pg_dist_partition p on p.logicalrelid = s.logicalrelid
order by s.logicalrelid::text, s.shardid;

alter view citus.citus_tables set schema pg_catalog;
alter view citus.citus_shards set schema pg_catalog;
grant select on pg_catalog.citus_tables, pg_catalog.citus_shards to public;


-- --- talk between servers -------------------------------------------------------------------------------------------

-- What psql has printed, line by line. Nobody sees the lines of another: they are gone before a transaction ends.
create unlogged table citus_standin.printed (n bigint generated always as identity, line text not null);

create function citus_standin.quoted(word text) returns text language sql
return '''' || replace(word, '''', $$'\''$$) || '''';  -- for the shell

-- psql, logging in as the nodes do to each other: the password comes from the server's PGPASSFILE. The address stands
-- in the environment, where psql takes no word of it for an option. A node has 3 seconds to let it in.
create function citus_standin.psql(name text, port int, arguments text) returns text language sql
return format(
    'LC_ALL=C PGHOST=%s PGPORT=%s PGDATABASE=%s PGUSER=%s PGAPPNAME=citus_standin PGCLIENTENCODING=UTF8 '
    'PGCONNECT_TIMEOUT=3 PGOPTIONS=''-c client_min_messages=error'' '
    '%s -X -w -A -F %s -v ON_ERROR_STOP=1 -v SHOW_ALL_RESULTS=off %s',
    citus_standin.quoted(name), port, citus_standin.quoted(current_database()), citus_standin.quoted(current_user),
    citus_standin.quoted((select c.setting || '/psql' from pg_config() c where c.name = 'BINDIR')),
    citus_standin.quoted(chr(31)), arguments
);

-- A program that ends with the statement that waits for it: who cancels a session signals its programs too, but psql
-- would wait for the node all the same.
create function citus_standin.cancelable(program text) returns text language sql
return 'trap ''kill -9 $asked'' INT TERM; exec 4<&0; ' || program || ' <&4 & asked=$!; wait $asked; exit $?';

-- Runs a command on a node. `result` is what Citus makes of it: the only value, the tag, or the error.
create function citus_standin.ask(
    name text, port int, command text, out reached bool, out success bool, out result text
) language plpgsql as $$
declare
    program text := citus_standin.psql(name, port, '-c ' || citus_standin.quoted(command));
    lines text[];
    code text;  -- of psql's exit; its errors come behind
    errors text;
begin
    program := format(
        $sh$trap : INT TERM
        { errors=$( { %s; } 2>&1 >&3 ); printf '\036%%s\n%%s\n' "$?" "$errors"; } 3>&1 </dev/null$sh$,
        citus_standin.cancelable(program)
    );
    -- No line is taken apart, for none holds these bytes.
    execute format('copy citus_standin.printed (line) from program %L with (format csv, delimiter e''\x01'','
                   ' quote e''\x02'', null e''\x03'', encoding ''utf8'')', program);
    with taken as (delete from citus_standin.printed returning n, line)
    select array_agg(line order by n) into lines from taken;
    select substr(l.line, 2), array_to_string(lines[l.n + 1:], e'\n'), lines[:l.n - 1] into strict code, errors, lines
    from unnest(lines) with ordinality l (line, n) where starts_with(l.line, chr(30));

    reached := code in ('0', '1', '3');  -- 2: no connection, or not any more; above: it was cancelled
    success := false;
    if not reached then
        result := coalesce(nullif(regexp_replace(errors, '^psql: error: ', ''), ''), 'timeout expired');
    elsif code <> '0' then
        result := regexp_replace(errors, '\n(DETAIL|HINT|LINE \d+|QUERY|CONTEXT):.*', '');
    elsif coalesce(lines[cardinality(lines)] !~ '^\(\d+ rows?\)$', true) then
        success := true;
        result := coalesce(lines[cardinality(lines)], '');
    elsif strpos(lines[1], chr(31)) > 0 or lines[1] = '' then
        result := 'expected a single column in query target';
    elsif lines[cardinality(lines)] not in ('(0 rows)', '(1 row)') then
        result := 'expected a single row in query result';
    else
        success := true;
        result := array_to_string(lines[2:cardinality(lines) - 1], e'\n');
    end if;
end $$;

create function citus_standin.fail_to_connect(name text, port int, cause text) returns void language plpgsql as $$
begin
    raise 'connection to the remote node %@%:% failed with the following error: %', current_user, name, port, cause
        using errcode = '08006';
end $$;

-- What changes all nodes fails where one of them does not answer.
create function citus_standin.require_nodes() returns void language sql as $$
    select citus_standin.fail_to_connect(n.nodename, n.nodeport, a.result)
    from pg_dist_node n, citus_standin.ask(n.nodename, n.nodeport, 'select 1') a
    where n.isactive and n.groupid <> 0 and not a.success
$$;

create function pg_catalog.citus_check_connection_to_node(nodename text, nodeport int default 5432) returns bool
language plpgsql as $$
declare
    answer record := citus_standin.ask(nodename, nodeport, 'select 1');
begin
    if not answer.reached then
        raise warning 'connection to the remote node %@%:% failed with the following error: %',
            current_user, nodename, nodeport, answer.result;
    end if;
    return answer.reached;
end $$;

create function pg_catalog.citus_check_cluster_node_health(
    out from_nodename text, out from_nodeport int, out to_nodename text, out to_nodeport int, out result bool
) returns setof record language sql as $$
    with pairs as (
        select a.nodename as a_name, a.nodeport as a_port, b.nodename as b_name, b.nodeport as b_port,
               row_number() over (partition by a.nodeid order by b.nodeid) as n
        from pg_dist_node a, pg_dist_node b where a.isactive and b.isactive
    ), questions as (
        select a_name, a_port,
               string_agg(format('(%s, citus_check_connection_to_node(%L, %s))', n, b_name, b_port), ', ') as list
        from pairs group by a_name, a_port
    ), answers as (
        select a_name, a_port, case when a.success then string_to_array(a.result, ',')::bool[] end as reached
        from questions, citus_standin.ask(
            a_name, a_port, format('select string_agg(ok::text, '','' order by n) from (values %s) v (n, ok)', list)) a
    )
    select a_name, a_port, b_name, b_port, reached[n] from pairs join answers using (a_name, a_port)
$$;

create function pg_catalog.master_run_on_worker(
    worker_name text[], port int[], command text[], parallel bool,
    out node_name text, out node_port int, out success bool, out result text
) returns setof record language plpgsql as $$
begin
    if cardinality(worker_name) <> cardinality(port) or cardinality(port) <> cardinality(command) then
        raise 'expected as many names and commands as ports' using errcode = '42601';
    end if;
    return query
    select w.n, w.p, a.success,
           case when a.reached then a.result else format('failed to connect to %s:%s', w.n, w.p) end
    from unnest(worker_name, port, command) w (n, p, c), citus_standin.ask(w.n, w.p, w.c) a;
end $$;

create function pg_catalog.run_command_on_all_nodes(
    command text, parallel bool default true, give_warning_for_connection_errors bool default false,
    out nodeid int, out success bool, out result text
) returns setof record language sql as $$
    select n.nodeid, a.success, a.result from pg_dist_node n, citus_standin.ask(n.nodename, n.nodeport, command) a
    where n.isactive
$$;

create function pg_catalog.citus_calculate_gpid(nodeid int, pid int) returns bigint language sql
return nodeid * 10000000000 + pid;


-- --- one catalog on all nodes ---------------------------------------------------------------------------------------

create table citus_standin.unsynced (since timestamptz not null default now());
create table citus_standin.received (metadata jsonb not null);

-- Workers do not have the tables: of those, they get the number.
create function citus_standin.metadata() returns jsonb language sql
return jsonb_build_object(
    'node', (select jsonb_agg(to_jsonb(n)) from pg_dist_node n),
    'colocation', (select jsonb_agg(to_jsonb(c)) from pg_dist_colocation c),
    'partition', (select jsonb_agg(to_jsonb(p) || jsonb_build_object('logicalrelid', p.logicalrelid::oid::text))
                  from pg_dist_partition p),
    'shard', (select jsonb_agg(to_jsonb(s) || jsonb_build_object('logicalrelid', s.logicalrelid::oid::text))
              from pg_dist_shard s),
    'placement', (select jsonb_agg(to_jsonb(p)) from pg_dist_placement p)
);

create function citus_standin.receive_metadata(own_group int) returns void language plpgsql as $$
declare
    kind text;
begin
    update pg_dist_local_group set groupid = own_group;
    foreach kind in array array['node', 'colocation', 'partition', 'shard', 'placement'] loop
        execute format('delete from pg_dist_%s', kind);
        execute format('insert into pg_dist_%1$s select r.* from citus_standin.received,'
                       ' jsonb_populate_recordset(null::pg_dist_%1$s, nullif(metadata -> %1$L, ''null'')) r', kind);
    end loop;
    delete from citus_standin.received;
end $$;

-- Fires as the transaction commits, so that workers never hear of what is rolled back.
create function citus_standin.sync() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    node record;
    program text;
begin
    delete from citus_standin.unsynced;
    if not found then
        return null;  -- an earlier row of this transaction has sent everything
    end if;
    for node in select * from pg_dist_node where isactive and groupid <> 0 loop
        program := citus_standin.psql(node.nodename, node.nodeport, format(
            '-q -1 -c ''copy citus_standin.received from stdin'''
            ' -c ''select citus_standin.receive_metadata(%s)'' >/dev/null 2>&1', node.groupid));
        execute format('copy (select citus_standin.metadata()) to program %L', citus_standin.cancelable(program));
    end loop;
    return null;
exception when external_routine_exception then
    perform citus_standin.fail_to_connect(node.nodename, node.nodeport, 'it did not take the metadata');
end $$;

create constraint trigger sync after insert on citus_standin.unsynced
deferrable initially deferred for each row execute function citus_standin.sync();

-- To call before anything is changed: one change at a time, on the coordinator alone.
create function citus_standin.begin_change() returns void language plpgsql as $$
begin
    if (select groupid from pg_dist_local_group) <> 0 then
        raise 'operation is not allowed on this node' using errcode = 'XX000',
            hint = 'Connect to the coordinator and run it again.';
    end if;
    lock table pg_dist_node in share row exclusive mode;
    insert into citus_standin.unsynced default values;
end $$;


-- --- nodes ----------------------------------------------------------------------------------------------------------

create function citus_standin.node_at(name text, port int) returns pg_dist_node language plpgsql as $$
declare
    node pg_dist_node;
begin
    select * into node from pg_dist_node where nodename = name and nodeport = port;
    if not found then
        raise 'node at "%:%" does not exist', name, port using errcode = 'XX000';
    end if;
    return node;
end $$;

create function citus_standin.require_extension(name text, port int) returns void language plpgsql as $$
declare
    answer record := citus_standin.ask(name, port, 'select count(*) from pg_extension where extname = ''citus''');
begin
    if not answer.reached then
        perform citus_standin.fail_to_connect(name, port, answer.result);
    elsif answer.result <> '1' then
        raise 'node %:% does not have the extension citus in database %', name, port, current_database()
            using errcode = 'XX000';
    end if;
end $$;

create function pg_catalog.citus_set_coordinator_host(
    host text, port int default current_setting('port')::int, node_role noderole default 'primary',
    node_cluster name default 'default'
) returns void language plpgsql as $$
begin
    perform citus_standin.begin_change();
    update pg_dist_node set nodename = host, nodeport = port where groupid = 0;
    if not found then
        insert into pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster, shouldhaveshards)
        values (0, host, port, node_role, node_cluster, false);
    end if;
end $$;

create function pg_catalog.citus_add_node(
    nodename text, nodeport int, groupid int default -1, noderole noderole default 'primary',
    nodecluster name default 'default'
) returns int language plpgsql as $$
#variable_conflict use_column
declare
    known int;
begin
    -- A quirk to keep: an address that is known is taken for a node that is known, and is not asked.
    select n.nodeid into known from pg_dist_node n where n.nodename = $1 and n.nodeport = $2;
    if found then
        return known;
    end if;
    perform citus_standin.begin_change();
    if $1 <> 'localhost' and exists (select from pg_dist_node n where n.groupid = 0 and n.nodename = 'localhost') then
        raise 'a worker cannot be added while the coordinator is registered as localhost' using errcode = 'XX000',
            hint = 'Give it a name that workers know: select citus_set_coordinator_host(…)';
    end if;
    -- Numbers are drawn before it is asked: a node that does not answer uses them up.
    insert into pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster)
    values (case when $3 < 0 then nextval('citus_standin.groupid') else $3 end, $1, $2, $4, $5)
    returning nodeid into known;
    perform citus_standin.require_extension($1, $2);
    return known;
end $$;

create function pg_catalog.citus_activate_node(nodename text, nodeport int) returns int language plpgsql as $$
declare
    node pg_dist_node := citus_standin.node_at(nodename, nodeport);
begin
    perform citus_standin.begin_change();
    perform citus_standin.require_extension(nodename, nodeport);
    update pg_dist_node set isactive = true, metadatasynced = true where nodeid = node.nodeid;
    return node.nodeid;
end $$;

-- Forgets a node's copies of reference tables; what it alone holds cannot be forgotten.
create function citus_standin.empty_node(node pg_dist_node) returns void language plpgsql as $$
declare
    only_here bigint;
begin
    select min(shardid) into only_here from pg_dist_placement p
    where groupid = node.groupid
      and not exists (select from pg_dist_placement o where o.shardid = p.shardid and o.groupid <> p.groupid);
    if only_here is not null then
        raise 'node %:% holds the only placement of shard %', node.nodename, node.nodeport, only_here
            using errcode = 'XX000';
    end if;
    delete from pg_dist_placement where groupid = node.groupid;
end $$;

create function pg_catalog.citus_disable_node(nodename text, nodeport int, synchronous bool default false) returns void
language plpgsql as $$
declare
    node pg_dist_node := citus_standin.node_at(nodename, nodeport);
begin
    perform citus_standin.begin_change();
    perform citus_standin.empty_node(node);
    update pg_dist_node set isactive = false, metadatasynced = synchronous where nodeid = node.nodeid;
end $$;

create function pg_catalog.citus_remove_node(nodename text, nodeport int) returns void language plpgsql as $$
declare
    node pg_dist_node := citus_standin.node_at(nodename, nodeport);
begin
    perform citus_standin.begin_change();
    perform citus_standin.empty_node(node);
    delete from pg_dist_node where nodeid = node.nodeid;
end $$;

create function citus_standin.place_reference_tables() returns void language sql as $$
    insert into pg_dist_placement (shardid, groupid)
    select s.shardid, n.groupid
    from pg_dist_partition t join pg_dist_shard s using (logicalrelid), pg_dist_node n
    where t.repmodel = 't' and n.isactive and n.noderole = 'primary'
    order by s.shardid, n.nodeid
    on conflict (shardid, groupid) do nothing
$$;

create function pg_catalog.replicate_reference_tables(shard_transfer_mode citus.shard_transfer_mode default 'auto')
returns void language plpgsql as $$
begin
    perform citus_standin.begin_change();
    perform citus_standin.require_nodes();
    perform citus_standin.place_reference_tables();
end $$;

create procedure pg_catalog.citus_cleanup_orphaned_resources() language sql as '';

create function pg_catalog.citus_move_shard_placement(
    shard_id bigint, source_node_name text, source_node_port int, target_node_name text, target_node_port int,
    shard_transfer_mode citus.shard_transfer_mode default 'auto'
) returns void language plpgsql as $$
declare
    source int := (select groupid from pg_dist_node where nodename = source_node_name and nodeport = source_node_port);
    target int := (select groupid from pg_dist_node where nodename = target_node_name and nodeport = target_node_port);
begin
    perform citus_standin.begin_change();
    if target is null then
        raise 'a shard cannot move to a node that is not there' using errcode = '0A000';
    elsif exists (select from pg_dist_placement where shardid = shard_id and groupid = target) then
        return;
    end if;
    update pg_dist_placement set groupid = target
    where groupid = source and shardid in (  -- with those of the tables that are colocated
        select o.shardid
        from pg_dist_shard s join pg_dist_partition t using (logicalrelid)
        join pg_dist_partition ot using (colocationid)
        join pg_dist_shard o on o.logicalrelid = ot.logicalrelid and o.shardminvalue = s.shardminvalue
        where s.shardid = shard_id
    );
    if not found then
        raise 'shard % is not on %:%', shard_id, source_node_name, source_node_port using errcode = 'XX000';
    end if;
end $$;

create function pg_catalog.citus_set_node_property(nodename text, nodeport int, property text, value bool)
returns void language plpgsql as $$
begin
    perform citus_standin.begin_change();
    perform citus_standin.node_at(nodename, nodeport);
    if property <> 'shouldhaveshards' then
        raise 'only the property shouldhaveshards can be set' using errcode = 'XX000';
    end if;
    update pg_dist_node n set shouldhaveshards = value where n.nodename = $1 and n.nodeport = $2;
end $$;

create function pg_catalog.citus_drain_node(
    nodename text, nodeport int, shard_transfer_mode citus.shard_transfer_mode default 'auto',
    rebalance_strategy name default null
) returns void language plpgsql as $$
declare
    node pg_dist_node;
    targets int[];
begin
    perform citus_standin.begin_change();
    select * into node from pg_dist_node n where n.nodename = $1 and n.nodeport = $2;
    if not found then
        raise 'node %:% not found', nodename, nodeport using errcode = 'P0002';
    end if;
    select array_agg(groupid order by nodeid) into targets
    from pg_dist_node where isactive and shouldhaveshards and nodeid <> node.nodeid;
    if targets is null then
        raise 'no other node may have shards' using errcode = 'XX000';
    end if;
    update pg_dist_node set shouldhaveshards = false where nodeid = node.nodeid;
    update pg_dist_placement p set groupid = targets[1 + (m.n - 1) % cardinality(targets)]
    from (select placementid, dense_rank() over (order by t.colocationid, s.shardminvalue::int) as n
          from pg_dist_placement join pg_dist_shard s using (shardid) join pg_dist_partition t using (logicalrelid)
          where t.partmethod = 'h' and groupid = node.groupid) m
    where p.placementid = m.placementid;
end $$;


-- --- tables ---------------------------------------------------------------------------------------------------------

-- Citus hashes with PostgreSQL's own functions. An array of one element has its element's hash plus 31, and finds the
-- function for the type by itself.
create function citus_standin.hash_of(value text, type oid, collation_id oid) returns int language plpgsql as $$
declare
    hash bigint;
begin
    execute format('select hash_array(array[$1::%s %s])', type::regtype,
                   case when collation_id <> 0 then 'collate ' || collation_id::regcollation end)
    into hash using value;
    hash := (hash - 31) & x'ffffffff'::bigint;
    return hash - case when hash > 2147483647 then 4294967296 else 0 end;
end $$;

create function pg_catalog.get_shard_id_for_distribution_column(table_name regclass, distribution_value text)
returns bigint language plpgsql as $$
declare
    colocation pg_dist_colocation;
    hash int;
begin
    select c.* into colocation from pg_dist_partition join pg_dist_colocation c using (colocationid)
    where logicalrelid = table_name;
    if not found then
        raise 'relation is not distributed' using errcode = '42P16';
    elsif colocation.distributioncolumntype <> 0 then
        hash := citus_standin.hash_of(distribution_value, colocation.distributioncolumntype,
                                      colocation.distributioncolumncollation);
    end if;
    return (select shardid from pg_dist_shard
            where logicalrelid = table_name
              and (shardminvalue is null or hash between shardminvalue::int and shardmaxvalue::int));
end $$;

create function pg_catalog.get_shard_id_for_distribution_column(table_name regclass, distribution_value anyelement)
returns bigint language sql as $$ select get_shard_id_for_distribution_column(table_name, distribution_value::text) $$;

create function pg_catalog.worker_hash(value anyelement) returns int strict language sql as $$
select citus_standin.hash_of(
    value::text, pg_typeof(value)::oid, (select typcollation from pg_type where pg_type.oid = pg_typeof(value)::oid)
)
$$;

create function pg_catalog.citus_split_shard_by_split_points(
    shard_id bigint, split_points text[], node_ids int[], shard_transfer_mode citus.shard_transfer_mode default 'auto'
) returns void language plpgsql as $$
declare
    split pg_dist_shard;
    point int;
    previous int;
begin
    perform citus_standin.begin_change();
    select * into split from pg_dist_shard where shardid = shard_id;
    if not found then
        raise 'could not find valid entry for shard %', shard_id using errcode = 'XX000';
    elsif cardinality(node_ids) <> cardinality(split_points) + 1 then
        raise 'one node more than split points is needed' using errcode = '42601';
    elsif split.shardminvalue = split.shardmaxvalue then
        raise 'cannot split shard %, which holds one hash', shard_id using errcode = '42601';
    end if;
    foreach point in array split_points loop
        if point < split.shardminvalue::int or point >= split.shardmaxvalue::int or point <= previous then
            raise 'split point % is outside the range, or out of order', point using errcode = '42601';
        end if;
        previous := point;
    end loop;
    if exists (select from unnest(node_ids) id where id not in (select nodeid from pg_dist_node)) then
        raise 'invalid node id' using errcode = '25001';
    end if;
    with old as materialized (  -- of every colocated table
        select o.*
        from pg_dist_partition t
        join pg_dist_shard o using (logicalrelid)
        where t.colocationid = (select colocationid from pg_dist_partition where logicalrelid = split.logicalrelid)
          and o.shardminvalue = split.shardminvalue
    ), gone as (
        delete from pg_dist_shard s using old where s.shardid = old.shardid
    ), unplaced as (
        delete from pg_dist_placement p using old where p.shardid = old.shardid
    ), part (n, lowest, highest, groupid) as (
        select n,
               case n when 1 then split.shardminvalue else (split_points[n - 1]::bigint + 1)::text end,
               coalesce(split_points[n], split.shardmaxvalue),
               (select d.groupid from pg_dist_node d where d.nodeid = id)
        from (select id, number::int as n from unnest(node_ids) with ordinality node (id, number)) node
    ), new as materialized (
        select nextval('citus_standin.shardid') as shardid, logicalrelid, groupid, lowest, highest
        from (select * from old cross join part order by logicalrelid, n) ordered
    ), made as (
        insert into pg_dist_shard (logicalrelid, shardid, shardminvalue, shardmaxvalue)
        select logicalrelid, new.shardid, lowest, highest from new
    )
    insert into pg_dist_placement (shardid, groupid) select new.shardid, groupid from new;
end $$;

create function pg_catalog.citus_shard_sizes(out shard_id int, out size bigint) returns setof record language sql as $$
select shardid::int, 0::bigint from pg_dist_shard
$$;

-- Raises what Citus raises where a key of a table cannot be kept by each shard for itself.
create function citus_standin.refuse_keys(wanted regclass) returns void language plpgsql as $$
declare
    child pg_dist_partition;
    parent pg_dist_partition;
    key pg_constraint;
    place int;
begin
    select * into strict child from pg_dist_partition where logicalrelid = wanted;
    if child.partmethod = 'h' and exists (
        select from pg_index i left join pg_constraint k on k.conindid = i.indexrelid and k.contype = 'x'
        where i.indrelid = wanted and (i.indisunique or i.indisexclusion)
          and not exists (
              select from generate_series(1, i.indnkeyatts) n
              where i.indkey[n - 1] = child.partkey::int2
                and (k.oid is null or '=' = (select oprname from pg_operator o where o.oid = k.conexclop[n]))
          )
    ) then
        raise 'cannot create constraint on "%"', wanted using errcode = '0A000',
            detail = 'A PRIMARY KEY, UNIQUE or EXCLUDE must hold the distribution column, compared for equality.';
    end if;
    for key in
        select * from pg_constraint
        where contype = 'f' and conparentid = 0
          and (conrelid = wanted or (confrelid = wanted and conrelid in (select logicalrelid from pg_dist_partition)))
        order by conname
    loop
        select * into child from pg_dist_partition where logicalrelid = key.conrelid;
        select * into parent from pg_dist_partition where logicalrelid = key.confrelid;
        place := array_position(key.conkey, child.partkey::int2);
        if child.partmethod = 'h' and parent.partmethod is null then
            raise 'referenced table "%" must be a distributed table or a reference table', key.confrelid::regclass
                using errcode = '42P16';
        elsif child.partmethod is distinct from 'h' and parent.partmethod = 'h' then
            raise 'foreign key % leads from a table that is not distributed to one that is', key.conname
                using errcode = '0A000';
        elsif parent.partmethod = 'h' and child.colocationid <> parent.colocationid then
            raise 'foreign key % ties tables that are not colocated', key.conname using errcode = '0A000';
        elsif place is not null and (key.confdeltype in ('n', 'd') or key.confupdtype in ('n', 'd', 'c')) then
            raise 'foreign key %: SET NULL or DEFAULT, or ON UPDATE CASCADE, of a distribution column is not supported',
                key.conname using errcode = '0A000';
        elsif parent.partmethod = 'h' and key.confkey[place] is distinct from parent.partkey::int2 then
            raise 'foreign key % must pair the distribution columns', key.conname using errcode = '0A000';
        end if;
    end loop;
end $$;

-- Raises what Citus raises where a table cannot be sharded at all.
create function citus_standin.refuse_table(wanted regclass) returns void language plpgsql as $$
declare
    relation pg_class;
begin
    perform citus_standin.begin_change();
    select * into strict relation from pg_class where oid = wanted;
    if not pg_has_role(relation.relowner, 'usage') then
        raise 'must be owner of table %', wanted using errcode = '42501';
    elsif relation.relkind not in ('r', 'p', 'f')
          or (relation.relkind = 'r' and exists (select from pg_inherits where inhparent = wanted)) then
        raise '% is not a regular, foreign or partitioned table', wanted using errcode = '42809';
    elsif relation.relpersistence = 't' then
        raise 'cannot distribute a temporary table' using errcode = '0A000';
    elsif relation.relnamespace = 'pg_catalog'::regnamespace then
        raise 'cannot distribute a table of the catalog' using errcode = '0A000';
    elsif exists (select from pg_dist_partition where logicalrelid = wanted) then
        raise 'table "%" is already distributed', wanted using errcode = '42P16';
    elsif exists (select from pg_trigger where tgrelid = wanted and not tgisinternal) then
        raise 'cannot distribute relation "%" because it has triggers', wanted using errcode = 'XX000';
    elsif relation.relispartition and not exists (
        select from pg_inherits join pg_dist_partition on logicalrelid = inhparent where inhrelid = wanted
    ) then
        raise 'cannot distribute partition "%" before its table', wanted using errcode = 'XX000';
    end if;
    perform citus_standin.require_nodes();
    if not exists (select from pg_dist_node) then  -- as Citus does: a cluster of one
        perform citus_set_coordinator_host('localhost');
        update pg_dist_node set shouldhaveshards = true;
    end if;
end $$;

create function pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type citus.distribution_type default 'hash',
    colocate_with text default 'default', shard_count int default null
) returns void language plpgsql as $$
declare
    shards int := coalesce(shard_count, current_setting('citus.shard_count', true)::int, 32);
    key pg_attribute;
    model regclass;  -- a table whose shards lie where this one's are to lie
    colocation pg_dist_colocation;
    groups int[];
    nulls bool;
begin
    if distribution_type <> 'hash' or distribution_column is null then
        raise 'the stand-in distributes by hash alone' using errcode = '0A000';
    elsif shards not between 1 and 64000 then
        raise '% is outside the valid range for parameter "shard_count"', shards using errcode = 'XX000';
    elsif shard_count is not null and colocate_with not in ('default', 'none') then
        raise 'cannot use colocate_with with a table and shard_count together' using errcode = 'XX000';
    end if;
    perform citus_standin.refuse_table(table_name);
    select * into key from pg_attribute
    where attrelid = table_name and attname = distribution_column and not attisdropped;
    if not found then
        raise 'column "%" of "%" does not exist', distribution_column, table_name using errcode = '42703';
    elsif key.attgenerated <> '' then
        raise 'a generated column cannot be the distribution column' using errcode = '0A000';
    end if;
    begin
        perform citus_standin.hash_of(null, key.atttypid, key.attcollation);
    exception when undefined_function then
        raise 'values of type % have no hash', key.atttypid::regtype using errcode = '42704';
    end;

    if colocate_with = 'default' then
        select c.* into colocation from pg_dist_colocation c
        where c.shardcount = shards and c.distributioncolumntype = key.atttypid
          and c.distributioncolumncollation = key.attcollation
        order by c.colocationid limit 1;
    elsif colocate_with <> 'none' then
        select c.* into colocation from pg_dist_partition join pg_dist_colocation c using (colocationid)
        where logicalrelid = colocate_with::regclass;
        if not found then
            raise 'relation % is not distributed', colocate_with using errcode = 'XX000';
        elsif colocation.distributioncolumntype <> key.atttypid then
            raise 'cannot colocate tables % and %', colocate_with, table_name using errcode = 'XX000',
                detail = 'Their distribution columns are of different types.';
        end if;
    end if;
    if colocation.colocationid is null then
        insert into pg_dist_colocation
        values (default, shards, 1, key.atttypid, key.attcollation) returning * into colocation;
    end if;
    model := (select logicalrelid from pg_dist_partition where colocationid = colocation.colocationid limit 1);
    insert into pg_dist_partition values (table_name, 'h', key.attnum, colocation.colocationid, 's');
    perform citus_standin.refuse_keys(table_name);
    execute format('select exists (select from %s where %I is null)', table_name, distribution_column) into nulls;
    if nulls then
        raise 'the distribution column of table % cannot be NULL', table_name using errcode = '22004';
    end if;

    -- An even split of the range of a hash; what is left over, the last shard has.
    insert into pg_dist_shard (logicalrelid, shardminvalue, shardmaxvalue)
    select table_name, -2147483648 + n * width,
           case when n = colocation.shardcount - 1 then 2147483647 else -2147483649 + (n + 1) * width end
    from generate_series(0, colocation.shardcount - 1) n, (select 4294967296 / colocation.shardcount as width) w;
    groups := array(select groupid from pg_dist_node where isactive and shouldhaveshards order by nodename, nodeport);
    if model is null and groups = '{}' then
        raise 'there is no worker for the shards' using errcode = '22023';
    end if;
    insert into pg_dist_placement (shardid, groupid)
    select s.shardid, coalesce(
        (select p.groupid from pg_dist_shard o join pg_dist_placement p using (shardid)
         where o.logicalrelid = model and o.shardminvalue = s.shardminvalue),
        groups[1 + (row_number() over (order by s.shardid) - 1) % cardinality(groups)])
    from pg_dist_shard s where s.logicalrelid = table_name order by s.shardid;
    perform citus_standin.place_reference_tables();
    perform citus_standin.distribute_partitions(table_name);
end $$;

create function citus_standin.distribute_partitions(parent regclass) returns void language sql as $$
    select create_distributed_table(inhrelid, column_to_column_name(parent, partkey), colocate_with => parent::text)
    from pg_inherits join pg_dist_partition on logicalrelid = parent
    where inhparent = parent and inhrelid not in (select logicalrelid from pg_dist_partition)
$$;

create function pg_catalog.create_reference_table(table_name regclass) returns void language plpgsql as $$
declare
    colocation int;
begin
    perform citus_standin.refuse_table(table_name);
    if (select relkind from pg_class where oid = table_name) = 'p' then
        raise 'a partitioned table cannot be a reference table' using errcode = '0A000';
    end if;
    select colocationid into colocation from pg_dist_colocation where replicationfactor = -1;
    if not found then
        insert into pg_dist_colocation values (default, 1, -1, 0, 0) returning colocationid into colocation;
    end if;
    insert into pg_dist_partition values (table_name, 'n', null, colocation, 't');
    perform citus_standin.refuse_keys(table_name);
    insert into pg_dist_shard (logicalrelid) values (table_name);
    perform citus_standin.place_reference_tables();
end $$;

create function citus_standin.forget(gone oid) returns void language sql as $$
    delete from pg_dist_placement where shardid in (select shardid from pg_dist_shard where logicalrelid = gone);
    delete from pg_dist_shard where logicalrelid = gone;
    delete from pg_dist_partition where logicalrelid = gone;
    delete from pg_dist_colocation where colocationid not in (
        select colocationid from pg_dist_partition union all select colocationid from pg_dist_schema
    );
$$;

create function pg_catalog.undistribute_table(table_name regclass, cascade_via_foreign_keys bool default false)
returns void language plpgsql as $$
declare
    partitions regclass[] := array(select inhrelid from pg_inherits where inhparent = table_name);
    tied regclass[] := array(
        select logicalrelid from pg_constraint join pg_dist_partition on logicalrelid in (conrelid, confrelid)
        where contype = 'f' and table_name in (conrelid, confrelid) and logicalrelid <> table_name
    );
    other regclass;
begin
    perform citus_standin.begin_change();
    if not exists (select from pg_dist_partition where logicalrelid = table_name) then
        raise 'cannot undistribute table because the table is not distributed' using errcode = 'XX000';
    elsif tied <> '{}' and not cascade_via_foreign_keys then
        raise 'foreign keys tie % to %', table_name, tied using errcode = 'XX000',
            hint = 'Undistribute all of them: cascade_via_foreign_keys => true';
    end if;
    perform citus_standin.require_nodes();
    perform citus_standin.forget(table_name);
    foreach other in array partitions || tied loop
        if exists (select from pg_dist_partition where logicalrelid = other) then
            perform undistribute_table(other, cascade_via_foreign_keys);
        end if;
    end loop;
end $$;

create function citus_standin.take_tables_of_schemas() returns void language plpgsql as $$
declare
    groups int[] := array(select groupid from pg_dist_node where isactive and shouldhaveshards order by nodename, nodeport);
    taken record;
begin
    for taken in
        select c.oid::regclass as name, s.colocationid as id
        from pg_class c join pg_dist_schema s on s.schemaid = c.relnamespace
        where c.relkind in ('r', 'p') and c.oid not in (select logicalrelid from pg_dist_partition)
    loop
        insert into pg_dist_partition values (taken.name, 'n', null, taken.id, 's');
        insert into pg_dist_shard (logicalrelid) values (taken.name);
        insert into pg_dist_placement (shardid, groupid)
        select s.shardid, coalesce(
            (select p.groupid from pg_dist_partition t join pg_dist_shard using (logicalrelid) join pg_dist_placement p using (shardid)
             where t.colocationid = taken.id limit 1),
            groups[1 + taken.id % cardinality(groups)])
        from pg_dist_shard s where s.logicalrelid = taken.name;
    end loop;
end $$;

create function pg_catalog.citus_schema_distribute(schemaname regnamespace) returns void language plpgsql as $$
declare
    colocation int;
begin
    perform citus_standin.begin_change();
    perform citus_standin.require_nodes();
    if exists (select from pg_dist_schema where schemaid = schemaname) then
        return;
    elsif exists (
        select from pg_dist_partition join pg_class c on c.oid = logicalrelid
        where c.relnamespace = schemaname and colocationid <> 0
    ) then
        raise 'distributed schema cannot have distributed tables' using errcode = 'XX000';
    end if;
    insert into pg_dist_colocation values (default, 1, 1, 0, 0) returning colocationid into colocation;
    insert into pg_dist_schema values (schemaname, colocation);
    perform citus_standin.take_tables_of_schemas();
end $$;

create function pg_catalog.citus_schema_undistribute(schemaname regnamespace) returns void language plpgsql as $$
begin
    perform citus_standin.begin_change();
    perform citus_standin.require_nodes();
    if not exists (select from pg_dist_schema where schemaid = schemaname) then
        raise 'schema % is not distributed', schemaname using errcode = 'XX000';
    end if;
    delete from pg_dist_schema where schemaid = schemaname;
    perform citus_standin.forget(c.oid) from pg_class c where c.relnamespace = schemaname and c.relkind in ('r', 'p');
end $$;

-- Calls run where they are made: the rows are there.
create function pg_catalog.create_distributed_function(
    function_name regprocedure, distribution_arg_name text default null, colocate_with text default 'default',
    force_delegation bool default null
) returns void language plpgsql as $$
declare
    place int := case
        when distribution_arg_name ~ '^\$[0-9]+$' then substr(distribution_arg_name, 2)::int
        else array_position((select proargnames from pg_proc where oid = function_name), distribution_arg_name)
    end;
    colocation int;
begin
    perform citus_standin.begin_change();
    perform citus_standin.require_nodes();
    if distribution_arg_name is not null and place is null then
        raise 'cannot distribute the function "%" since the distribution argument is not valid', function_name
            using errcode = '22023';
    end if;
    if colocate_with <> 'default' then
        select colocationid into colocation from pg_dist_partition where logicalrelid = colocate_with::regclass;
        if not found then
            raise 'relation % is not distributed', colocate_with using errcode = 'XX000';
        end if;
    end if;
    insert into pg_dist_object
    values ('pg_proc'::regclass, function_name, 0, place - 1, colocation, create_distributed_function.force_delegation)
    on conflict (classid, objid, objsubid) do update
    set distribution_argument_index = excluded.distribution_argument_index, colocationid = excluded.colocationid,
        force_delegation = excluded.force_delegation;
end $$;

-- There is nothing to truncate: the local rows are all the rows there are.
create function pg_catalog.truncate_local_data_after_distributing_table(function_name regclass) returns void
language plpgsql as $$
begin
    if not exists (select from pg_dist_partition where logicalrelid = function_name) then
        raise 'supplied parameter is not a distributed relation' using errcode = 'XX000';
    end if;
end $$;

create function pg_catalog.recover_prepared_transactions() returns int language sql as 'select 0';

revoke all on function citus_set_coordinator_host, citus_add_node, citus_activate_node, citus_disable_node,
    citus_remove_node, citus_drain_node, master_run_on_worker, run_command_on_all_nodes from public;


-- --- what is done to sharded tables later ---------------------------------------------------------------------------

create function citus_standin.check_changed_tables() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    changed record;
begin
    perform citus_standin.take_tables_of_schemas();
    for changed in
        select distinct t.*
        from pg_event_trigger_ddl_commands() d
        left join pg_index i on i.indexrelid = d.objid
        left join pg_inherits p on p.inhrelid = d.objid
        join pg_dist_partition t on t.logicalrelid in (d.objid, i.indrelid, p.inhparent)
        where d.classid = 'pg_class'::regclass
    loop
        if changed.partmethod = 'h' and not exists (
            select from pg_attribute join pg_dist_colocation on distributioncolumntype = atttypid
            where attrelid = changed.logicalrelid and attnum = changed.partkey::int2 and not attisdropped
              and colocationid = changed.colocationid
        ) then
            raise 'the distribution column of % cannot be dropped or changed', changed.logicalrelid
                using errcode = 'XX000';
        end if;
        perform citus_standin.refuse_keys(changed.logicalrelid);
        perform citus_standin.distribute_partitions(changed.logicalrelid);
    end loop;
end $$;

create function citus_standin.forget_dropped_tables() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
    dropped oid[] := array(
        select objid from pg_event_trigger_dropped_objects() join pg_dist_partition on logicalrelid = objid
        where classid = 'pg_class'::regclass and objsubid = 0
    );
begin
    if dropped <> '{}' then
        perform citus_standin.begin_change();
        perform citus_standin.require_nodes();
        perform citus_standin.forget(gone) from unnest(dropped) gone;
    end if;
end $$;

create event trigger citus_standin_changed on ddl_command_end
when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE', 'CREATE INDEX')
execute function citus_standin.check_changed_tables();

create event trigger citus_standin_dropped on sql_drop execute function citus_standin.forget_dropped_tables();
