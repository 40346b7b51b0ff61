-- The eight tables of TPC-H, cut down to the keys and a few columns more.
create table region (r_regionkey int primary key, r_name char(25));
create table nation (n_nationkey int primary key, n_name char(25), n_regionkey int not null references region);
create table supplier (s_suppkey int primary key, s_name char(25), s_nationkey int not null references nation);
create table customer (c_custkey int primary key, c_name varchar(25), c_nationkey int not null references nation);
create table part (p_partkey int primary key, p_name varchar(55), p_size int);
create table partsupp (
    ps_partkey int not null references part, ps_suppkey int not null references supplier, ps_availqty int,
    primary key (ps_partkey, ps_suppkey)
);
create table orders (o_orderkey bigint primary key, o_custkey int not null, o_orderdate date);
create table lineitem (
    l_orderkey bigint not null references orders, l_partkey int not null, l_suppkey int not null, l_linenumber int not null,
    l_quantity numeric(12, 2), l_shipdate date,
    primary key (l_orderkey, l_linenumber)
);
