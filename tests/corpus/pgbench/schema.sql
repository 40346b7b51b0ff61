-- The four tables of pgbench, with the foreign keys of `pgbench -i --foreign-keys`.
create table pgbench_branches (bid int not null primary key, bbalance int, filler char(88)) with (fillfactor = 100);
create table pgbench_tellers (tid int not null primary key, bid int references pgbench_branches, tbalance int, filler char(84));
create table pgbench_accounts (aid int not null primary key, bid int references pgbench_branches, abalance int, filler char(84));
create table pgbench_history (
    tid int references pgbench_tellers, bid int references pgbench_branches, aid int references pgbench_accounts,
    delta int, mtime timestamp, filler char(22)
);
