-- A sale of two lines, in one transaction, statement by statement as a till writes it; pgbench's own script. :pais is set before
-- it; the tables are in {schema}.
\set sucursal :pais * 1000 + random(1, 18)
\set producto :pais * 100000 + random(1, 399)
begin;
insert into {schema}.venta (id_pais, id_sucursal, id_metodo_pago, canal_venta) values (:pais, :sucursal, 1, 'tienda') returning id_venta \gset
insert into {schema}.detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
values (:pais, :id_venta, :producto, 1, 100, 60);
insert into {schema}.detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
values (:pais, :id_venta, :producto + 1, 2, 50, 30);
commit;
