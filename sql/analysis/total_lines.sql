-- What the sale lines of each country add up to, money in hundredths: compared with what the generator made.
select id_pais,
       count(*) as lines,
       sum(id_detalle)::numeric as line_ids,
       sum(cantidad) as quantity,
       sum(cantidad * precio_unitario) * 100 as revenue,
       sum(cantidad * costo_unitario) * 100 as cost,
       sum(descuento) * 100 as discount
from detalle_venta
group by id_pais
order by id_pais
