-- The same sale in one call of create_sell.sql's function; pgbench's own script. :pais is set before
-- it; the tables are in {schema}.
\set sucursal :pais * 1000 + random(1, 18)
\set producto :pais * 100000 + random(1, 399)
select {schema}.vender(:pais, :sucursal, :producto);
