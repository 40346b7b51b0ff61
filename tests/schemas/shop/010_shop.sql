create role shop_app login password 'app: s3cret ''ñ''';
create table orders (country int not null, id bigint not null, total numeric, primary key (country, id));
grant select, insert, update, delete on orders to shop_app;
insert into orders select c, i, 1 from generate_series(1, 4) c, generate_series(1, 100) i;
