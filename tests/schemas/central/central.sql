-- A company's central database as it has grown: keys of its own, unique in the whole world; sale lines know their country by
-- way of their sale alone.

create table metodo_pago (id_metodo_pago integer primary key, nombre text not null unique);
create table cupon (id_cupon integer primary key, codigo text not null unique, descuento numeric(5, 4) not null);

create table sucursal (
    id_sucursal serial primary key,
    id_pais     integer not null,
    nombre      text not null,
    ciudad      text not null
);

create table producto (
    id_producto serial primary key,
    id_pais     integer not null,
    nombre      text not null,
    precio      numeric(12, 2) not null
);

create table venta (
    id_venta       bigserial primary key,
    folio          text not null unique,
    id_pais        integer not null,
    id_sucursal    integer not null references sucursal,
    id_metodo_pago integer not null references metodo_pago,
    id_cupon       integer references cupon,
    vendida_en     timestamptz not null
);

create index venta_sucursal_idx on venta (id_sucursal);

create table detalle_venta (
    id_detalle  bigserial primary key,
    id_venta    bigint not null references venta on delete cascade,
    id_producto integer not null references producto,
    cantidad    integer not null check (cantidad > 0),
    precio      numeric(12, 2) not null
);

create index detalle_venta_venta_idx on detalle_venta (id_venta);

insert into metodo_pago values (1, 'efectivo'), (2, 'tarjeta'), (3, 'transferencia');
insert into cupon values (1, 'VERANO', 0.1), (2, 'NAVIDAD', 0.2);
insert into sucursal (id_pais, nombre, ciudad) select 1 + i % 4, 'Sucursal ' || i, 'Ciudad ' || i % 12 from generate_series(0, 39) i;
insert into producto (id_pais, nombre, precio) select 1 + i % 4, 'Producto ' || i, 10 + i % 90 from generate_series(0, 399) i;
insert into venta (folio, id_pais, id_sucursal, id_metodo_pago, id_cupon, vendida_en)
select s.id_pais || '-' || i, s.id_pais, s.id_sucursal, 1 + i % 3, nullif(i % 10, 0) / 9 + 1,
       '2025-01-01'::timestamptz + i * interval '10 minutes'
from generate_series(1, 20000) i join sucursal s on s.id_sucursal = 1 + i % 40;
insert into detalle_venta (id_venta, id_producto, cantidad, precio)
select v.id_venta, p.id_producto, 1 + n % 3, p.precio
from venta v
cross join generate_series(1, 3) n
join producto p on p.id_producto = 1 + (v.id_venta * 4 + n * 40) % 400 / 4 * 4 + (v.id_pais - 1)
