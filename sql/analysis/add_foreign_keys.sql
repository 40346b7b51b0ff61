-- Those of the schema, with the country in front where both ends are distributed.
alter table venta add constraint venta_sucursal_fkey foreign key (id_pais, id_sucursal) references sucursal (id_pais, id_sucursal);
alter table venta add constraint venta_metodo_fkey foreign key (id_metodo_pago) references metodo_pago (id_metodo_pago);
alter table venta add constraint venta_cupon_fkey foreign key (id_cupon) references cupon (id_cupon);
alter table detalle_venta add constraint detalle_venta_fkey foreign key (id_pais, id_venta) references venta (id_pais, id_venta) on delete cascade;
alter table detalle_venta add constraint detalle_producto_fkey foreign key (id_pais, id_producto) references producto (id_pais, id_producto);
