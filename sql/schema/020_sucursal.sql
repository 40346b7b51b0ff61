-- The branches of each country. Keys are the company's own, unique in the whole world.

create table sucursal (
    id_sucursal integer primary key,
    id_pais     integer not null check (id_pais > 0),
    pais        text not null,
    nombre      text not null,
    ciudad      text not null,
    abierta_en  date not null default current_date
);

create index sucursal_pais_idx on sucursal (id_pais, ciudad);
