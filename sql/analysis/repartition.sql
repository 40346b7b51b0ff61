-- Scenario B. The same question, and as a number of a branch is unique in the world the same answer; but the branch is joined
-- by its number alone. Citus cannot know on which worker it lies: rows of both sides are split by that number, written
-- down and fetched by other workers before they are joined.
select t2.pais,
       t1.canal_venta,
       sum(t3.cantidad * (t3.precio_unitario - t3.costo_unitario) - t3.descuento) as ganancia
from venta t1
inner join sucursal t2 on t1.id_sucursal = t2.id_sucursal
inner join detalle_venta t3 on t3.id_venta = t1.id_venta and t3.id_pais = t1.id_pais
where t1.devuelta_en is null
group by t2.pais, t1.canal_venta
order by t2.pais, t1.canal_venta
