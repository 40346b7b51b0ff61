-- The lines of a sale. Price and cost are those of the day it was sold.

create table detalle_venta (
    id_detalle      bigserial primary key,
    id_pais         integer not null check (id_pais > 0),
    id_venta        bigint not null references venta (id_venta) on delete cascade,
    id_producto     integer not null references producto (id_producto),
    cantidad        integer not null check (cantidad > 0),
    precio_unitario numeric(12, 2) not null check (precio_unitario >= 0),
    costo_unitario  numeric(12, 2) not null check (costo_unitario >= 0),
    descuento       numeric(12, 2) not null default 0 check (descuento >= 0)
);

create index detalle_venta_venta_idx on detalle_venta (id_venta);
create index detalle_venta_producto_idx on detalle_venta (id_producto);
