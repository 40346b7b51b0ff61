-- Reference tables, and the four others together by country, in a colocation group of their own.
select create_reference_table('metodo_pago');
select create_reference_table('cupon');
select create_distributed_table('sucursal', 'id_pais', colocate_with => 'none', shard_count => %(shard_count)s::integer);
select create_distributed_table('producto', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('venta', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('detalle_venta', 'id_pais', colocate_with => 'sucursal');
