-- What the analysis has loaded into the tables of this database: of which dataset, and which blocks of it. A block is
-- written down in the transaction that brings its rows, so a run that was killed goes on exactly where it was.
set local citus.enable_ddl_propagation = off;
set local client_min_messages = warning;

create schema if not exists citus_pulumi_analysis;

create table if not exists citus_pulumi_analysis.dataset (
    only_one   boolean primary key default true check (only_one),
    scale      bigint not null,
    seed       bigint not null,
    version    integer not null,
    begun_at   timestamptz not null default now()
);

create table if not exists citus_pulumi_analysis.block (
    id_pais    integer not null,
    number     integer not null,
    totals     jsonb not null,    -- what its rows add up to; money in hundredths
    profit     bigint[] not null, -- of each channel, in hundredths
    loaded_at  timestamptz not null default now(),
    primary key (id_pais, number)
)
