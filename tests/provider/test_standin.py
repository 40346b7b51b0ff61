"""The stand-in for Citus, told apart from the genuine one by nothing that this project does, and the providers on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from components.database.connections import close_idle
from tests.provider import conftest, standin, test_membership, test_sharding
from tests.provider.resources import Cluster
from tests.servers import HOST, find_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("wheel")

SCENARIOS = {
    "nodes come, pause and go": r"""
        select count(*) from pg_dist_node -- 0
        select count(metadata ->> 'server_id') from pg_dist_node_metadata -- 1
        select groupid from pg_dist_local_group -- 0
        select citus_set_coordinator_host(:host, :coordinator)
        nodes -- 0|:host|:coordinator|default|t|t|primary|default|t|f
        select citus_add_node(:host, :nobody) -- 08006
        select count(*) from pg_dist_node -- 1
        select citus_add_node(:host, :worker_1) > 0 -- t
        select citus_add_node(:host, :worker_2) > 0 -- t
        nodes
            -- 0|:host|:coordinator|default|t|t|primary|default|t|f; 2|:host|:worker_1|default|t|t|primary|default|t|t;
            3|:host|:worker_2|default|t|t|primary|default|t|t
        worker_1> select n.nodeport from pg_dist_local_group join pg_dist_node n using (groupid) -- :worker_1
        worker_1> nodes
            -- 0|:host|:coordinator|default|t|t|primary|default|t|f; 2|:host|:worker_1|default|t|t|primary|default|t|t;
            3|:host|:worker_2|default|t|t|primary|default|t|t
        worker_1> select citus_add_node(:host, :nobody) -- XX000
        worker_1> create table t (k int)
        worker_1> select create_distributed_table('t', 'k') -- XX000
        worker_1> select create_reference_table('t') -- XX000
        select count(distinct result) from master_run_on_worker(array[:host, :host, :host], array[:coordinator,
            :worker_1, :worker_2], array_fill('select metadata ->> ''server_id'' from pg_dist_node_metadata'::text,
            array[3]), true)
            -- 3
        select citus_set_coordinator_host(:host, :coordinator)
        select citus_set_coordinator_host(:host, :worker_1) -- 23505
        select count(*) from pg_dist_node -- 3
        select citus_activate_node(:host, :worker_1) > 0 -- t
        select citus_activate_node(:host, :nobody) -- XX000
        select citus_disable_node(:host, :worker_2, true)
        active -- :coordinator|t|t; :worker_1|t|t; :worker_2|f|t
        select citus_add_node(:host, :worker_2) > 0 -- t
        active -- :coordinator|t|t; :worker_1|t|t; :worker_2|f|t
        select citus_activate_node(:host, :worker_2) > 0 -- t
        active -- :coordinator|t|t; :worker_1|t|t; :worker_2|t|t
        select citus_disable_node(:host, :nobody) -- XX000
        select citus_remove_node(:host, :nobody) -- XX000
        select citus_remove_node(:host, :worker_2)
        select nodeport from pg_dist_node order by nodeid -- :coordinator; :worker_1
        worker_1> select nodeport from pg_dist_node order by nodeid -- :coordinator; :worker_1
        worker_2> select nodeport from pg_dist_node order by nodeid -- :coordinator; :worker_1; :worker_2
        worker_2> select groupid > 0 from pg_dist_local_group -- t
        select citus_add_node(:host, :worker_2) > 0 -- t
        select count(distinct groupid) from pg_dist_node -- 3
        select max(groupid) from pg_dist_node -- 4
        worker_2> select max(groupid) = (select groupid from pg_dist_local_group) from pg_dist_node -- t
        select citus_remove_node(:host, :coordinator)
        select citus_version() ~ '^Citus 1[2-9][.]' -- t
    """,
    "small clusters": r"""
        select citus_set_coordinator_host('localhost', :coordinator)
        select citus_add_node(:host, :worker_1) -- XX000
        select citus_add_node('localhost', :worker_1) > 0 -- t
        select nodename, groupid from pg_dist_node order by nodeid -- localhost|0; localhost|1
        select citus_set_coordinator_host(:host, :coordinator)
        select citus_add_node(:host, :worker_2) > 0 -- t
        drop extension citus
        select count(*) from pg_extension where extname = 'citus' -- 0
        create extension citus
        select citus_add_node(:host, :worker_1) -- 1
        nodes -- 1|:host|:worker_1|default|t|t|primary|default|t|t
        select citus_set_coordinator_host(:host, :coordinator)
        select nodename, groupid from pg_dist_node order by nodeid -- :host|1; :host|0
        select citus_remove_node(:host, :worker_1)
        create table t (k int)
        select create_distributed_table('t', 'k') -- 22023
        select create_reference_table('t')
        drop table t
        drop extension citus
        create extension citus
        create table t (k int)
        select create_distributed_table('t', 'k', shard_count => 2)
        select nodename, groupid, shouldhaveshards from pg_dist_node -- localhost|0|t
        select count(*) from pg_dist_placement where groupid = 0 -- 2
    """,
    "workers of nobody and of others": r"""
        select citus_set_coordinator_host(:host, :coordinator)
        worker_1> drop extension citus
        select citus_add_node(:host, :worker_1) -- XX000
        worker_2> select citus_set_coordinator_host(:host, :worker_2)
        worker_1> create extension citus
        worker_2> select citus_add_node(:host, :worker_1) > 0 -- t
        select citus_add_node(:host, :worker_1) > 0 -- t
        worker_1> select nodeport from pg_dist_node where groupid = 0 -- :coordinator
        select citus_add_node(:host, :worker_2) > 0 -- t
    """,
    "questions to nodes": r"""
        form
        select citus_check_connection_to_node(:host, :worker_1) -- t
        select citus_check_connection_to_node(:host, :nobody) -- f
        select count(*), count(*) filter (where result),
            count(*) filter (where result is null) from citus_check_cluster_node_health()
            -- 9|9|0
        ask select 1 -- t|1
        ask select 'it''s "ñ" $HOME `x` \ :v' || e'\n  two' -- t|it's "ñ" $HOME `x` \ :v\n  two
        ask select null::text -- t|
        ask select '' -- t|
        ask select true -- t|t
        ask select 1 where false -- t|
        ask values (1), (2) -- f|expected a single row in query result
        ask select 1, 2 -- f|expected a single column in query target
        ask create table t (k int) -- t|CREATE TABLE
        ask insert into t values (1), (2) -- t|INSERT 0 2
        ask select nowhere -- f|ERROR:  column "nowhere" does not exist
        ask do 'begin raise exception $x$oh$x$; end' -- f|ERROR:  oh
        select success, result like 'failed to connect%' from master_run_on_worker(array[:host], array[:nobody],
            array['select 1'], true)
            -- f|t
        select node_name, node_port, success, result from master_run_on_worker(array[:host, :host, :host],
            array[:coordinator, :worker_1, :worker_2], array['select 0', 'select 1', 'select 2'], true)
            -- :host|:coordinator|t|0; :host|:worker_1|t|1; :host|:worker_2|t|2
        select success, result from master_run_on_worker(array[:host, :host], array[:worker_1], array['select 1'], true)
            -- 42601
        ask insert into nowhere values (1) -- f|ERROR:  relation "nowhere" does not exist
    """,
    "distributed tables": r"""
        form
        create table a (id int primary key, n text); insert into a select i, i from generate_series(1,10) i
        select create_distributed_table('a', 'id', colocate_with => 'none', shard_count => 5)
        select truncate_local_data_after_distributing_table('a')
        select partmethod, repmodel, autoconverted, column_to_column_name(logicalrelid,
            partkey) from pg_dist_partition where logicalrelid = 'a'::regclass
            -- h|s|f|id
        select shardstorage, shardminvalue,
            shardmaxvalue from pg_dist_shard where logicalrelid = 'a'::regclass order by shardid
            -- t|-2147483648|-1288490190; t|-1288490189|-429496731; t|-429496730|429496728; t|429496729|1288490187;
            t|1288490188|2147483647
        select count(*) from pg_dist_placement group by groupid order by 1 -- 2; 3
        select shardstate, shardlength from pg_dist_placement group by 1, 2 -- 1|0
        select shardcount, replicationfactor, distributioncolumntype::regtype::text,
            distributioncolumncollation from pg_dist_colocation
            -- 5|1|integer|0
        select count(*) from a -- 10
        shard_of 'a', 1 -- -2147483648
        shard_of 'a', 2 -- 429496729
        shard_of 'a', -7::bigint -- -429496730
        shard_of 'a', '3' -- -429496730
        create table b (id int not null, v int)
        select create_distributed_table('b', 'id', colocate_with => 'a')
        select count(distinct colocationid), count(*) from pg_dist_partition -- 1|2
        create table c (id int)
        create table d (id int)
        create table e (id bigint)
        create table f(id text)
        select create_distributed_table('c', 'id', shard_count => 6)
        select create_distributed_table('d', 'id', shard_count => 6)
        select create_distributed_table('e', 'id')
        select create_distributed_table('f', 'id', colocate_with => 'none', shard_count => 4)
        select table_name::text, citus_table_type, distribution_column, shard_count from citus_tables order by 1
            -- a|distributed|id|5; b|distributed|id|5; c|distributed|id|6; d|distributed|id|6; e|distributed|id|32;
            f|distributed|id|4
        select table_name::text, citus_table_type, nodename, count(*) from citus_shards group by 1, 2, 3 order by 1
            -- a|distributed|:host|5; b|distributed|:host|5; c|distributed|:host|6; d|distributed|:host|6;
            e|distributed|:host|32; f|distributed|:host|4
        shard_of 'f', 'a' -- 1073741824
        shard_of 'f', 'é' -- -1073741824
        shard_of 'f', '' -- -2147483648
        select get_shard_id_for_distribution_column('nowhere', 1) -- 42P01
        create table l (k int)
        select get_shard_id_for_distribution_column('l', 1) -- 42P16
        alter table a rename column n to m
        alter table a rename column id to ident
        select column_to_column_name(logicalrelid, partkey) from pg_dist_partition where logicalrelid = 'a'::regclass
            -- ident
        drop table b
        drop table e, f
        select count(*) from pg_dist_colocation -- 2
        create schema x create table t (k int)
        select create_distributed_table('x.t', 'k', shard_count => 6)
        drop schema x cascade
        select count(*) from pg_dist_partition -- 3
        begin
        drop table c
        rollback
        select count(*) from pg_dist_partition -- 3
        select undistribute_table('a')
        select count(*) from pg_dist_partition where logicalrelid = 'a'::regclass -- 0
        select undistribute_table('a') -- XX000
        select count(*) from a -- 10
        worker_1> select count(*) from pg_dist_partition -- 2
    """,
    "reference tables": r"""
        form 1
        create table r (k int primary key); insert into r values (1)
        select create_reference_table('r')
        select partmethod, partkey, repmodel, autoconverted from pg_dist_partition -- n|null|t|f
        select shardstorage, shardminvalue, shardmaxvalue from pg_dist_shard -- t|null|null
        placements r -- :coordinator|1; :worker_1|1
        select shardcount, replicationfactor, distributioncolumntype,
            distributioncolumncollation from pg_dist_colocation
            -- 1|-1|0|0
        select citus_add_node(:host, :worker_2) > 0 -- t
        placements r -- :coordinator|1; :worker_1|1
        select replicate_reference_tables('block_writes')
        select replicationfactor from pg_dist_colocation -- -1
        select replicate_reference_tables()
        placements r -- :coordinator|1; :worker_1|1; :worker_2|1
        select citus_remove_node(:host, :worker_2)
        placements r -- :coordinator|1; :worker_1|1
        select citus_add_node(:host, :worker_2) > 0 -- t
        create table q (k int)
        select create_reference_table('q')
        placements r -- :coordinator|1; :worker_1|1; :worker_2|1
        placements q -- :coordinator|1; :worker_1|1; :worker_2|1
        select count(distinct colocationid) from pg_dist_partition -- 1
        select create_reference_table('q') -- 42P16
        select create_distributed_table('q', 'k') -- 42P16
        select truncate_local_data_after_distributing_table('q')
        create table l (k int)
        select truncate_local_data_after_distributing_table('l') -- XX000
        select citus_remove_node(:host, :worker_2)
        select citus_add_node(:host, :worker_2) > 0 -- t
        create table d (k int primary key)
        select create_distributed_table('d', 'k', shard_count => 2)
        placements r -- :coordinator|1; :worker_1|1; :worker_2|1
        select create_distributed_table('d', 'k', colocate_with => 'r') -- 42P16
        create table d2 (k int)
        select create_distributed_table('d2', 'k', colocate_with => 'r') -- XX000
        select table_name::text, citus_table_type, distribution_column, shard_count from citus_tables order by 1
            -- d|distributed|k|2; q|reference|<none>|1; r|reference|<none>|1
        select undistribute_table('q')
        select count(*) from pg_dist_partition -- 2
        drop table r, d
        select count(*) from pg_dist_partition -- 0
        select count(*) from pg_dist_colocation -- 0
        worker_1> select count(*) from pg_dist_placement -- 0
        select create_reference_table('nowhere') -- 42P01
    """,
    "tables that cannot be distributed": r"""
        form
        create table a (id int primary key, k int unique, v text)
        select create_distributed_table('nowhere', 'k') -- 42P01
        select create_distributed_table('a', 'nowhere') -- 42703
        select create_distributed_table('a', 'v', colocate_with => 'none') -- 0A000
        select create_distributed_table('a', 'k', colocate_with => 'none') -- 0A000
        select create_distributed_table('a', 'id', colocate_with => 'none') -- 0A000
        alter table a drop constraint a_k_key
        select create_distributed_table('a', 'id', colocate_with => 'none')
        select create_distributed_table('a', 'id', colocate_with => 'none') -- 42P16
        select create_distributed_table('a', 'id') -- 42P16
        select create_reference_table('a') -- 42P16
        alter table a add unique (k) -- 0A000
        alter table a add unique (k, id)
        create unique index on a (v) -- 0A000
        create unique index on a (id, v)
        alter table a add exclude (k with =) -- 0A000
        alter table a drop column id -- XX000
        alter table a alter column id type bigint -- XX000
        create table x (k int, v int, exclude using btree (v with =))
        select create_distributed_table('x', 'k', colocate_with => 'none') -- 0A000
        select create_distributed_table('x', 'v', colocate_with => 'none')
        create table u (k int, v int); create unique index on u (v)
        select create_distributed_table('u', 'k', colocate_with => 'none') -- 0A000
        create table l (k int); create table b (k bigint, t text, i int)
        select create_distributed_table('b', 'i', colocate_with => 'l') -- XX000
        select create_distributed_table('b', 'k', colocate_with => 'a') -- XX000
        select create_distributed_table('b', 't', colocate_with => 'a') -- XX000
        select create_distributed_table('b', 'i', colocate_with => 'nowhere') -- 42P01
        select create_distributed_table('b', 'i', colocate_with => 'a', shard_count => 3) -- XX000
        select create_distributed_table('b', 'i', shard_count => 0) -- XX000
        select create_distributed_table('b', 'i', colocate_with => 'a')
        create table g (k int, h int generated always as (k * 2) stored)
        select create_distributed_table('g', 'h', colocate_with => 'none') -- 0A000
        create temp table tt (k int)
        select create_distributed_table('tt', 'k') -- 0A000
        select create_reference_table('tt') -- 0A000
        create view w as select 1 as k
        select create_distributed_table('w', 'k') -- 42809
        select create_distributed_table('pg_class', 'oid') -- 0A000
        create table trg (k int); create function f() returns trigger language plpgsql as 'begin return new; end';
            create trigger tr before insert on trg execute function f()
        select create_distributed_table('trg', 'k') -- XX000
        create table pt (k int, d int) partition by list (d); create table pt1 partition of pt for values in (1)
        select create_distributed_table('pt1', 'k') -- XX000
        select create_reference_table('pt') -- 0A000
        select create_distributed_table('pt', 'k', shard_count => 2)
        select count(*) from pg_dist_partition -- 5
        create table j (k json)
        select create_distributed_table('j', 'k') -- 42704
        create table nulls (k int); insert into nulls values (null)
        select create_distributed_table('nulls', 'k', shard_count => 2) -- 22004
        create table inh (k int); create table inh2 () inherits (inh)
        select create_distributed_table('inh', 'k') -- 42809
        set role pg_monitor
        select create_distributed_table('b', 'i') -- 42501
        select citus_add_node(:host, :nobody) -- 42501
        reset role
    """,
    "foreign keys": r"""
        form
        create table p (id int, k int, t int, primary key (id, k), unique (k, id));
            create table c (id int, k int, v int); create table r (k int primary key);
            create table l (k int primary key, id int unique); create table o (id int primary key);
            create table r2 (k int primary key, o int)
        alter table c add constraint fk foreign key (id) references o (id)
        select create_distributed_table('c', 'id', colocate_with => 'none') -- 42P16
        alter table c drop constraint fk
        select create_distributed_table('p', 'id', colocate_with => 'none')
        select create_distributed_table('c', 'id', colocate_with => 'p')
        select create_distributed_table('o', 'id', colocate_with => 'none', shard_count => 3)
        select create_reference_table('r')
        select create_reference_table('r2')
        alter table c add constraint fk foreign key (id, k) references p (id, k)
        alter table c drop constraint fk
        alter table c add constraint fk foreign key (k, id) references p (id, k) -- 0A000
        alter table c add constraint fk foreign key (k, id) references p (k, id) on delete cascade
        alter table c drop constraint fk
        alter table c add constraint fk foreign key (id, k) references p (id, k) on delete set null -- 0A000
        alter table c add constraint fk foreign key (id, k) references p (id, k) on delete set default -- 0A000
        alter table c add constraint fk foreign key (id, k) references p (id, k) on update cascade -- 0A000
        alter table c add constraint fk foreign key (id, k) references p (id, k) on update set null -- 0A000
        alter table c add constraint fk foreign key (id, k) references p (id, k) on delete set null (k) -- 0A000
        alter table c add constraint fk foreign key (id) references o (id) -- 0A000
        alter table c add constraint fk foreign key (v) references r (k) on delete set null
        alter table c drop constraint fk
        alter table c add constraint fk foreign key (id) references r (k) on delete set null -- 0A000
        alter table c add constraint fk foreign key (id) references r (k) on delete cascade
        alter table c drop constraint fk
        alter table c add constraint fk foreign key (v) references l (k) -- 42P16
        alter table l add constraint fk foreign key (k) references o (id)
        alter table r2 add constraint fk foreign key (o) references o (id) -- 0A000
        alter table r2 add constraint fk foreign key (o) references r (k) on delete cascade
        alter table r2 drop constraint fk
        alter table r2 add constraint fk foreign key (o) references r2 (k)
        alter table r2 drop constraint fk
        alter table p add constraint fk foreign key (id, t) references p (id, k)
        alter table p drop constraint fk
        alter table p add constraint fk foreign key (t, k) references p (id, k) -- 0A000
        alter table c add constraint fk foreign key (id, k) references p (id, k) not valid
        alter table c validate constraint fk
        alter table c drop constraint fk
        alter table l drop constraint fk
        create table l2 (k int, o int references o)
        alter table l2 add constraint fk foreign key (k) references l (k)
        select create_distributed_table('l2', 'k', colocate_with => 'none') -- 42P16
        select create_reference_table('l2') -- 0A000
        alter table l2 drop constraint fk
        alter table o add column x int references r
        alter table o add column y int references l -- 42P16
    """,
    "shards that move": r"""
        form
        create table t (k int primary key); create table r (k int primary key)
        select create_distributed_table('t', 'k', shard_count => 4)
        select create_reference_table('r')
        select citus_remove_node(:host, :worker_2) -- XX000
        select citus_disable_node(:host, :worker_2, true) -- XX000
        select citus_remove_node(:host, :coordinator)
        select citus_move_shard_placement((select min(shardid) from pg_dist_placement join pg_dist_node using (groupid)
            where nodeport = :worker_1), :host, :worker_1, :host, :worker_2, 'block_writes')
        placements t -- :worker_1|1; :worker_2|3
        select citus_move_shard_placement((select min(shardid) from pg_dist_shard), :host, :worker_2, :host, :nobody,
            'block_writes')
            -- 0A000
        select citus_drain_node(:host, :worker_2, 'block_writes')
        placements t -- :worker_1|4
        select nodeport, shouldhaveshards from pg_dist_node order by nodeid -- :worker_1|t; :worker_2|f
        select citus_drain_node(:host, :nobody) -- P0002
        select citus_remove_node(:host, :worker_2)
        placements r -- :worker_1|1
        select citus_drain_node(:host, :worker_1, 'block_writes') -- XX000
        placements t -- :worker_1|4
        drop table t
        select citus_remove_node(:host, :worker_1) -- XX000
        placements r -- :worker_1|1
    """,
    "tenants with shards of their own": r"""
        form
        create table a (id int primary key, n int)
        select create_distributed_table('a', 'id', shard_count => 4)
        create table b (id int, n int)
        select create_distributed_table('b', 'id', colocate_with => 'a')
        select worker_hash(1::int), worker_hash('a'::text), worker_hash(null::int) -- -1905060026|1075015857|null
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['-1905060027', '-1905060026'], array[2, 3], 'block_writes') -- 42601
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['-1905060026', '-1905060027'], array[2, 3, 2], 'block_writes') -- 42601
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['-1905060027', '-1905060026'], array[2, 99, 2], 'block_writes') -- 25001
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['7'], array[2, 3], 'block_writes') -- 42601
        select citus_split_shard_by_split_points(1, array['1'], array[2, 3], 'block_writes') -- XX000
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['-1905060027', '-1905060026'], array[2, 3, 2], 'block_writes')
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 1),
            array['-1905060026'], array[2, 3], 'block_writes') -- 42601
        select nodeid from pg_dist_node join pg_dist_placement using (groupid)
            where shardid = get_shard_id_for_distribution_column('b', 1) -- 3
        select logicalrelid::text, count(*) from pg_dist_shard group by 1 order by 1 -- a|6; b|6
        select count(*) from pg_dist_placement -- 12
        select shardminvalue = shardmaxvalue from pg_dist_shard
            where shardid = get_shard_id_for_distribution_column('b', 1) -- t
        select shardcount from pg_dist_colocation -- 4
        select worker_hash(2) -- 1134484726
        select citus_split_shard_by_split_points(get_shard_id_for_distribution_column('a', 2),
            array['1134484725', '1134484726'], array[3, 2, 3], 'block_writes')
        select citus_set_node_property(:host, :worker_1, 'shouldhaveshards', false)
        select citus_set_node_property(:host, :worker_1, 'colour', false) -- XX000
        select citus_set_node_property(:host, :nobody, 'shouldhaveshards', false) -- XX000
        select nodeport from pg_dist_node where groupid > 0 and not shouldhaveshards -- :worker_1
        select logicalrelid::text, min(shardminvalue::int), max(shardmaxvalue::int) from pg_dist_shard group by 1 order by 1
            -- a|-2147483648|2147483647; b|-2147483648|2147483647
        select count(distinct (a.groupid, b.groupid)) = count(distinct a.groupid)
            from pg_dist_shard s join pg_dist_placement a using (shardid)
            join pg_dist_shard o using (shardminvalue) join pg_dist_placement b on b.shardid = o.shardid
            where s.logicalrelid = 'a'::regclass and o.logicalrelid = 'b'::regclass -- t
    """,
    "a dead worker": r"""
        form
        create table t (k int primary key); create table r (k int primary key); create table done (k int)
        select create_distributed_table('done', 'k', shard_count => 2)
        kill worker_2
        select create_distributed_table('t', 'k', shard_count => 4) -- 08006
        select create_reference_table('r') -- 08006
        select count(*) from pg_dist_partition -- 1
        create table l (k int)
        drop table done -- 08006
        select bool_and(success) from master_run_on_worker(array[:host, :host], array[:worker_1, :worker_2],
            array['select 1', 'select 1'], true)
            -- f
        select count(*), count(*) filter (where result),
            count(*) filter (where result is null) from citus_check_cluster_node_health()
            -- 9|4|3
        select citus_check_connection_to_node(:host, :worker_2) -- f
        select citus_add_node(:host, :worker_2) > 0 -- t
        select citus_activate_node(:host, :worker_2) > 0 -- 08006
        start worker_2
        select create_reference_table('r')
    """,
    "foreign keys of tables that become sharded": r"""
        form
        create table p (id int primary key); create table c (id int, p int references p)
        select create_distributed_table('p', 'id')
        select create_distributed_table('c', 'p')
        create table p3 (id int primary key); create table r3 (id int, p int references p3)
        select create_reference_table('p3')
        select create_reference_table('r3')
        select undistribute_table('p3') -- XX000
        select undistribute_table('p3', true)
        create table q (id int primary key); create table lq (id int)
        select create_distributed_table('q', 'id', colocate_with => 'none')
        alter table lq add constraint fk foreign key (id) references q
        alter table q add column x int
        create table me (id int primary key, up int references me)
        select create_distributed_table('me', 'id', colocate_with => 'none') -- 0A000
        select create_distributed_table('me', 'id', colocate_with => 'q') -- 0A000
    """,
    "colocation and partitions": r"""
        form
        create table a (k int); create table b (k int); create table c (k int); create table d (k int);
            create table e (k varchar)
        select create_distributed_table('a', 'k', colocate_with => 'none', shard_count => 4)
        select create_distributed_table('b', 'k', shard_count => 4)
        select create_distributed_table('c', 'k', shard_count => 4)
        select create_distributed_table('d', 'k', colocate_with => 'c')
        select undistribute_table('b')
        select undistribute_table('c')
        select create_distributed_table('b', 'k', shard_count => 4)
        create table pt (k int, d int) partition by list (d); create table pt1 partition of pt for values in (1)
        select create_distributed_table('pt', 'k', shard_count => 2)
        create table pt2 partition of pt for values in (2)
        select table_name::text, shard_count from citus_tables where table_name::text like 'pt%' order by 1
            -- pt|2; pt1|2; pt2|2
        create table pt3 (k int, d int)
        alter table pt attach partition pt3 for values in (3)
        alter table pt detach partition pt2
        select table_name::text, shard_count from citus_tables where table_name::text like 'pt%' order by 1
            -- pt|2; pt1|2; pt2|2; pt3|2
        select undistribute_table('pt')
        select create_distributed_table('e', 'k', colocate_with => 'none', shard_count => 4)
        shard_of 'e', 'ñ' -- 0
        set citus.shard_count = 7
        create table f (k uuid)
        select create_distributed_table('f', 'k')
        select count(*) from pg_dist_shard where logicalrelid = 'f'::regclass -- 7
    """,
}


# --- clusters --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def standins() -> Iterator[tuple[PostgresServer, ...]]:
    """Three servers that know nothing of each other, and find the stand-in."""
    installation = find_wheel()
    assert installation
    assert installation.takes_stand_in
    with standin.running_standins(installation, "coordinator", "worker_1", "worker_2") as servers:
        yield servers


@pytest.fixture(scope="session")
def unformed_standins(standins: tuple[PostgresServer, ...]) -> Cluster:
    """To copy: a database with the stand-in on each of three servers."""
    coordinator, *workers = standins
    cluster = Cluster("unformed", coordinator, tuple(workers))
    cluster.make()
    cluster.freeze()
    return cluster


@pytest.fixture(scope="session")
def formed_standins(standins: tuple[PostgresServer, ...]) -> Cluster:
    """To copy: a coordinator with two registered workers."""
    coordinator, *workers = standins
    cluster = Cluster("formed", coordinator, tuple(workers))
    cluster.make()
    cluster.form()
    close_idle()
    cluster.freeze()
    return cluster


@pytest.fixture
def servers(unformed_standins: Cluster) -> Iterator[Cluster]:
    """A coordinator and two workers that know nothing of each other yet, on the stand-in."""
    with conftest._copy(unformed_standins) as cluster:
        yield cluster


@pytest.fixture
def cluster(formed_standins: Cluster) -> Iterator[Cluster]:
    """A coordinator with two registered workers, on the stand-in."""
    with conftest._copy(formed_standins) as cluster:
        yield cluster


# --- the stand-in itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_stand_in_answers_as_recorded(servers: Cluster, name: str) -> None:
    """The stand-in gives the rows and SQLSTATEs that are written here."""
    steps = standin.read(SCENARIOS[name])

    assert standin.play(servers, steps) == steps


@pytest.mark.needs("citus")
@pytest.mark.parametrize("name", SCENARIOS)
def test_genuine_citus_answers_the_same(unformed: Cluster, name: str) -> None:
    """Genuine Citus gives the very same."""
    steps = standin.read(SCENARIOS[name])

    with conftest._copy(unformed) as genuine:
        assert standin.play(genuine, steps) == steps


def test_says_what_it_is(servers: Cluster) -> None:
    """Whoever creates or looks at the extension reads that it is a stand-in that moves no rows."""
    notices: list[str] = []
    with servers.connected() as connection:
        connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        connection.execute("drop extension citus")
        connection.execute("create extension citus")

    assert "stand-in" in notices[0]
    assert "moves no rows" in servers.value("select citus_version()")
    assert servers.value("select extversion from pg_extension where extname = 'citus'") == "12.1-standin"


def test_workers_hear_of_nothing_that_is_rolled_back(cluster: Cluster) -> None:
    """The workers' catalog changes with the commit, or not at all."""
    with cluster.connected() as connection, connection.transaction(force_rollback=True):
        connection.execute("create table t (k int)")
        connection.execute("select create_distributed_table('t', 'k')")

    assert cluster.value("select count(*) from pg_dist_partition", on=cluster.workers[0]) == 0


def test_names_are_nothing_to_the_shell(cluster: Cluster) -> None:
    """Commands and names with quotes, dollars, line breaks and other letters reach a node as they are."""
    odd = """it's "$HOME" `id` $(id) \\ %s :v ñ語\n-X ;|&<>"""
    ask = "select result from master_run_on_worker(array[%s], array[%s], array[%s], true)"

    assert cluster.value(ask, HOST, cluster.workers[0].port, f"select '{odd.replace(chr(39), chr(39) * 2)}'") == odd
    assert cluster.value(ask, odd, 1, "select 1") == f"failed to connect to {odd}:1"


def test_question_to_a_paused_worker_is_cancelled(cluster: Cluster) -> None:
    """A statement that waits for a worker that takes connections and says nothing is ended by its timeout."""
    paused = cluster.workers[0]
    paused.pause()
    started = time.monotonic()

    with cluster.connected() as connection:
        connection.execute("set statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(f"select citus_check_connection_to_node('{HOST}', {paused.port})".encode())

    assert time.monotonic() - started < 2


# --- the providers on it: tests of the genuine one that hold for it too ----------------------------------------------

other_password = test_membership.other_password
retail = test_sharding.retail

for _test in (
    test_membership.test_worker_changes_nothing_when_registered,
    test_membership.test_worker_gets_a_missing_extension,
    test_membership.test_inactive_worker_is_drift_and_activated,
    test_membership.test_wrong_password_on_a_worker_fails_at_once,
    test_membership.test_emptied_worker_is_refused_and_the_way_back_works,
    test_membership.test_member_of_another_cluster_is_refused,
    test_membership.test_worker_with_shards_of_a_lost_coordinator_is_refused,
    test_membership.test_worker_with_shards_is_not_removed,
    test_membership.test_health_waits_for_the_broken_pair,
    test_sharding.test_script_runs_once,
    test_sharding.test_keys_lead_with_the_country,
    test_sharding.test_sharding_changes_nothing_when_done,
    test_sharding.test_unique_key_without_distribution_column_is_refused,
    test_sharding.test_quoted_names_in_another_schema,
):
    globals()[_test.__name__] = _test


def test_a_rebalance_says_that_a_stand_in_moves_no_rows(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    """It does nothing, and neither a refresh nor a step that drains workers looks for a job of Citus."""
    cluster.form()
    cluster.run("create table t (k int primary key); select create_distributed_table('t', 'k', shard_count => 4)")
    balanced, placed = (
        cluster.rebalance(),
        cluster.placement({"table": "t", "pin": {"1": f"{HOST}:{cluster.workers[0].port}"}}),
    )
    placed.up()
    before = cluster.rows("select shardid, groupid from pg_dist_placement order by 1")
    assert balanced.up() == "create"
    assert cluster.rows("select shardid, groupid from pg_dist_placement order by 1") == before
    assert "rebalance: nothing to do, for the stand-in for Citus moves no rows" in capfd.readouterr().out
    assert balanced.refresh()
    assert balanced.up() == "same"
