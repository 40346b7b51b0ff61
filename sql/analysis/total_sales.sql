-- What the sales of each country add up to: compared with what the generator says that it made.
select id_pais,
       count(*) as sales,
       sum(id_venta)::numeric as sale_ids,
       count(devuelta_en) as returned,
       count(id_cupon) as with_coupon
from venta
group by id_pais
order by id_pais
