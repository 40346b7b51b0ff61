-- Scenario A. Profit by country and channel, without sales that came back. Every join is on the country too, so each worker
-- answers for its own countries alone, and sends four rows of sums for each.
select t2.pais,
       t1.canal_venta,
       sum(t3.cantidad * (t3.precio_unitario - t3.costo_unitario) - t3.descuento) as ganancia
from venta t1
inner join sucursal t2 on t1.id_sucursal = t2.id_sucursal and t1.id_pais = t2.id_pais
inner join detalle_venta t3 on t3.id_venta = t1.id_venta and t3.id_pais = t1.id_pais
where t1.devuelta_en is null
group by t2.pais, t1.canal_venta
order by t2.pais, t1.canal_venta
