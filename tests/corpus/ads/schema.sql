-- Advertising for many companies: a company runs campaigns, a campaign shows ads, an ad is clicked and seen.
create table companies (
    id         bigserial primary key,
    name       text not null,
    logo       text,
    created_on timestamp not null default now()
);

create table campaigns (
    id            bigserial primary key,
    company_id    bigint not null references companies (id),
    name          text not null,
    pricing       text not null check (pricing in ('click', 'view')),
    state         text not null,
    budget        bigint,
    blocked_sites text[]
);

create table ads (
    id          bigserial primary key,
    company_id  bigint not null references companies (id),
    campaign_id bigint not null references campaigns (id),
    title       text not null,
    target      text,
    clicked     bigint default 0,
    seen        bigint default 0
);

create table clicks (
    id         bigserial primary key,
    company_id bigint not null references companies (id),
    ad_id      bigint not null references ads (id),
    at         timestamp not null,
    site       text not null,
    cost       numeric(20, 10),
    visitor    inet not null,
    details    jsonb not null
);

create table impressions (
    id         bigserial primary key,
    company_id bigint not null references companies (id),
    ad_id      bigint not null references ads (id),
    at         timestamp not null,
    site       text not null,
    visitor    inet not null,
    details    jsonb not null
);

create table geo_ips (addresses cidr primary key, lonlat point not null check (lonlat[0] between -180 and 180));
create index on geo_ips using gist (addresses inet_ops);
