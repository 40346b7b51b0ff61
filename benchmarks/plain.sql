-- What the settings of the stack dev come to, written out by hand: keys rewritten, tables distributed and replicated.

alter table venta drop constraint venta_id_sucursal_fkey;
alter table venta drop constraint venta_id_metodo_pago_fkey;
alter table venta drop constraint venta_id_cupon_fkey;
alter table detalle_venta drop constraint detalle_venta_id_venta_fkey;
alter table detalle_venta drop constraint detalle_venta_id_producto_fkey;

alter table sucursal drop constraint sucursal_pkey, add primary key (id_pais, id_sucursal);
alter table producto drop constraint producto_pkey, add primary key (id_pais, id_producto);
alter table venta drop constraint venta_pkey, add primary key (id_pais, id_venta);
alter table detalle_venta drop constraint detalle_venta_pkey, add primary key (id_pais, id_detalle);

select create_reference_table('metodo_pago');
select create_reference_table('cupon');
select create_distributed_table('sucursal', 'id_pais', colocate_with => 'none', shard_count => 32);
select create_distributed_table('producto', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('venta', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('detalle_venta', 'id_pais', colocate_with => 'sucursal');

alter table venta add constraint venta_id_sucursal_fkey
    foreign key (id_pais, id_sucursal) references sucursal (id_pais, id_sucursal);
alter table venta add constraint venta_id_metodo_pago_fkey foreign key (id_metodo_pago) references metodo_pago;
alter table venta add constraint venta_id_cupon_fkey foreign key (id_cupon) references cupon;
alter table detalle_venta add constraint detalle_venta_id_venta_fkey
    foreign key (id_pais, id_venta) references venta (id_pais, id_venta) on delete cascade;
alter table detalle_venta add constraint detalle_venta_id_producto_fkey
    foreign key (id_pais, id_producto) references producto (id_pais, id_producto);

select count(*) from citus_tables;
