-- What happens to an advertisement. Clicks keep their names from the system that sends them.

set search_path = ads;

create table "Click" (
    "clickId"    bigint generated always as identity,
    "Company Id" bigint not null,
    "adId"       integer not null references ads (id) on delete cascade,
    "regionId"   integer references "GeoRegion",
    "cost ""net""" numeric(10, 4) not null,
    clicked_at   timestamptz not null default now(),
    constraint "Click PK" primary key ("clickId") include (clicked_at)
);

create table impressions (
    id         bigserial,
    company_id bigint not null,
    ad_id      integer not null,
    seen_at    date not null,
    primary key (id, seen_at)
) partition by range (seen_at);

create table impressions_2025 partition of impressions for values from ('2025-01-01') to ('2026-01-01');
create table impressions_2026 partition of impressions for values from ('2026-01-01') to ('2027-01-01');

-- Stays on the coordinator.
create table import_run (
    id          integer generated always as identity primary key,
    finished_at timestamptz
);
