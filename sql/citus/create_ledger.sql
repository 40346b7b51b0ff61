-- What this project remembers in the cluster itself, on the coordinator only: which stack manages it, which schema
-- files ran, how far one has come that runs outside a transaction, the foreign keys that are set aside while the tables
-- at their ends are being sharded, and the roles whose passwords the nodes know (the passwords themselves are in
-- pg_dist_authinfo).
set local citus.enable_ddl_propagation = off;
set local client_min_messages = warning;

create schema if not exists citus_pulumi;

create table if not exists citus_pulumi.stack (
    only_one   boolean primary key default true check (only_one),
    name       text not null,
    claimed_at timestamptz not null default now()
);

create table if not exists citus_pulumi.script (
    file_name  text primary key,
    sha256     text not null,
    applied_at timestamptz not null default now()
);

create table if not exists citus_pulumi.statement (
    file_name  text not null,
    number     int not null,
    sha256     text not null,
    done       boolean not null,
    leaves     text,
    primary key (file_name, number)
);

create table if not exists citus_pulumi.foreign_key (
    child_schema  text not null,
    child_name    text not null,
    name          text not null,
    parent_schema text not null,
    parent_name   text not null,
    definition    jsonb not null,
    set_aside_at  timestamptz not null default now(),
    primary key (child_schema, child_name, name)
);

create table if not exists citus_pulumi.role (
    oid      oid primary key,
    name     name not null,
    wanted   boolean not null default true,
    known_at timestamptz not null default now()
);

-- Of a role that the settings declare, the hash of what PostgreSQL keeps of its password; null of all others.
alter table citus_pulumi.role add column if not exists declared text
