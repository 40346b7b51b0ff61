-- The sale of write_sale.sql as a function, which the server runs in one transaction. Its tables are in {schema}.
create function {schema}.vender(pais integer, sucursal integer, producto integer) returns bigint language plpgsql as $$
declare
    nueva bigint;
begin
    insert into {schema}.venta (id_pais, id_sucursal, id_metodo_pago, canal_venta)
    values (pais, sucursal, 1, 'tienda') returning id_venta into nueva;
    insert into {schema}.detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
    values (pais, nueva, producto, 1, 100, 60);
    insert into {schema}.detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
    values (pais, nueva, producto + 1, 2, 50, 30);
    return nueva;
end $$
