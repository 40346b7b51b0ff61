-- A sale: who sold it, by which channel, how it was paid, and whether it came back.

create table venta (
    id_venta       bigserial primary key,
    id_pais        integer not null check (id_pais > 0),
    id_sucursal    integer not null references sucursal (id_sucursal),
    id_metodo_pago integer not null references metodo_pago (id_metodo_pago),
    id_cupon       integer references cupon (id_cupon),
    canal_venta    text not null check (canal_venta in ('tienda', 'web', 'app', 'telefono')),
    vendida_en     timestamptz not null default now(),
    devuelta_en    timestamptz,
    check (devuelta_en >= vendida_en)
);

create index venta_sucursal_idx on venta (id_sucursal);
create index venta_vendida_idx on venta (vendida_en);
