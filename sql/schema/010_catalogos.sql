-- Small tables that change little: how a sale is paid, and what lowers its price.

create table metodo_pago (
    id_metodo_pago integer primary key,
    nombre         text not null unique,
    comision       numeric(5, 4) not null default 0 check (comision >= 0 and comision < 1),
    activo         boolean not null default true
);

create table cupon (
    id_cupon      integer primary key,
    codigo        text not null unique,
    descuento     numeric(5, 4) not null check (descuento > 0 and descuento <= 1),
    vigente_desde date not null,
    vigente_hasta date not null,
    check (vigente_hasta >= vigente_desde)
);
