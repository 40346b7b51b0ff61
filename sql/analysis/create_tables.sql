-- The company's tables as they are once sharded: the key of each distributed table begins with the country. Foreign keys
-- come last, see add_foreign_keys.sql: a table that is distributed cannot be referenced by one that is not yet.
create table metodo_pago (
    id_metodo_pago integer primary key,
    nombre         text not null unique,
    comision       numeric(5, 4) not null default 0 check (comision >= 0 and comision < 1),
    activo         boolean not null default true
);
create table cupon (
    id_cupon      integer primary key,
    codigo        text not null unique,
    descuento     numeric(5, 4) not null check (descuento > 0 and descuento <= 1),
    vigente_desde date not null,
    vigente_hasta date not null,
    check (vigente_hasta >= vigente_desde)
);
create table sucursal (
    id_sucursal integer not null,
    id_pais     integer not null check (id_pais > 0),
    pais        text not null,
    nombre      text not null,
    ciudad      text not null,
    abierta_en  date not null default current_date,
    primary key (id_pais, id_sucursal)
);
create index sucursal_pais_idx on sucursal (id_pais, ciudad);
create table producto (
    id_producto  integer not null,
    id_pais      integer not null check (id_pais > 0),
    nombre       text not null,
    categoria    text not null,
    precio_lista numeric(12, 2) not null check (precio_lista >= 0),
    costo        numeric(12, 2) not null check (costo >= 0),
    primary key (id_pais, id_producto)
);
create index producto_categoria_idx on producto (id_pais, categoria);
create table venta (
    id_venta       bigserial not null,
    id_pais        integer not null check (id_pais > 0),
    id_sucursal    integer not null,
    id_metodo_pago integer not null,
    id_cupon       integer,
    canal_venta    text not null check (canal_venta in ('tienda', 'web', 'app', 'telefono')),
    vendida_en     timestamptz not null default now(),
    devuelta_en    timestamptz,
    check (devuelta_en >= vendida_en),
    primary key (id_pais, id_venta)
);
create index venta_sucursal_idx on venta (id_sucursal);
create index venta_vendida_idx on venta (vendida_en);
create table detalle_venta (
    id_detalle      bigserial not null,
    id_pais         integer not null check (id_pais > 0),
    id_venta        bigint not null,
    id_producto     integer not null,
    cantidad        integer not null check (cantidad > 0),
    precio_unitario numeric(12, 2) not null check (precio_unitario >= 0),
    costo_unitario  numeric(12, 2) not null check (costo_unitario >= 0),
    descuento       numeric(12, 2) not null default 0 check (descuento >= 0),
    primary key (id_pais, id_detalle)
);
create index detalle_venta_venta_idx on detalle_venta (id_venta);
create index detalle_venta_producto_idx on detalle_venta (id_producto);
