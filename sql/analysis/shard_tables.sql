-- Reference tables, and the four others together by country; with `none`, in a colocation group of their own.
select create_reference_table('metodo_pago');
select create_reference_table('cupon');
select create_distributed_table(
    'sucursal', 'id_pais',
    colocate_with => %(colocate_with)s,
    shard_count => case when %(colocate_with)s = 'none' then %(shard_count)s::integer end
);
select create_distributed_table('producto', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('venta', 'id_pais', colocate_with => 'sucursal');
select create_distributed_table('detalle_venta', 'id_pais', colocate_with => 'sucursal');
