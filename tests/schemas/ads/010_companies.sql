-- Who pays for advertisements: the tenants. Everything below belongs to one of them.

create schema ads;

create type ads.company_state as enum ('trial', 'active', 'closed');

create table ads.companies (
    id         bigserial primary key,
    name       text not null,
    state      ads.company_state not null default 'trial',
    image_url  text,
    created_at timestamptz not null default now()
);

-- Where clicks come from; the same for every tenant.
create table ads."GeoRegion" (
    "regionId" integer primary key,
    "ISO code" text not null unique,
    name       text not null
);
