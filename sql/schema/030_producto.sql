-- What each country sells. Prices are in the country's own currency.

create table producto (
    id_producto  integer primary key,
    id_pais      integer not null check (id_pais > 0),
    nombre       text not null,
    categoria    text not null,
    precio_lista numeric(12, 2) not null check (precio_lista >= 0),
    costo        numeric(12, 2) not null check (costo >= 0)
);

create index producto_categoria_idx on producto (id_pais, categoria);
