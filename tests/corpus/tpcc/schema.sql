-- The nine tables of TPC-C, its columns cut down to the keys and a few more.
create table warehouse (w_id int primary key, w_name varchar(10), w_tax numeric(4, 4), w_ytd numeric(12, 2));
create table district (
    d_w_id int not null references warehouse, d_id smallint not null, d_next_o_id int, d_ytd numeric(12, 2),
    primary key (d_w_id, d_id)
);
create table customer (
    c_w_id int not null, c_d_id smallint not null, c_id int not null, c_last varchar(16), c_balance numeric(12, 2),
    primary key (c_w_id, c_d_id, c_id),
    foreign key (c_w_id, c_d_id) references district
);
create index on customer (c_w_id, c_d_id, c_last);
create table history (
    h_c_id int, h_c_d_id smallint, h_c_w_id int, h_d_id smallint, h_w_id int not null, h_amount numeric(6, 2),
    foreign key (h_w_id, h_d_id) references district
);
create table orders (
    o_w_id int not null, o_d_id smallint not null, o_id int not null, o_c_id int, o_carrier_id smallint, o_ol_cnt smallint,
    primary key (o_w_id, o_d_id, o_id),
    unique (o_w_id, o_d_id, o_c_id, o_id),
    foreign key (o_w_id, o_d_id, o_c_id) references customer
);
create table new_order (
    no_w_id int not null, no_d_id smallint not null, no_o_id int not null,
    primary key (no_w_id, no_d_id, no_o_id),
    foreign key (no_w_id, no_d_id, no_o_id) references orders
);
create table item (i_id int primary key, i_name varchar(24), i_price numeric(5, 2));
create table stock (
    s_w_id int not null references warehouse, s_i_id int not null references item, s_quantity smallint,
    primary key (s_w_id, s_i_id)
);
create table order_line (
    ol_w_id int not null, ol_d_id smallint not null, ol_o_id int not null, ol_number smallint not null, ol_i_id int,
    ol_supply_w_id int, ol_quantity smallint,
    primary key (ol_w_id, ol_d_id, ol_o_id, ol_number),
    foreign key (ol_w_id, ol_d_id, ol_o_id) references orders
);
