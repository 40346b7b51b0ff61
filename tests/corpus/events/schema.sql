-- Events of code repositories, kept by month.
create table repositories (repo_id bigint primary key, name text not null);

create table events (
    event_id   bigint not null,
    repo_id    bigint not null,
    kind       text,
    public     boolean,
    payload    jsonb,
    actor      jsonb,
    created_at timestamp not null
) partition by range (created_at);
create index on events using brin (created_at);

create table events_2024_01 partition of events for values from ('2024-01-01') to ('2024-02-01');
create table events_2024_02 partition of events for values from ('2024-02-01') to ('2024-03-01');
create table events_later (like events including all);
alter table events attach partition events_later for values from ('2024-03-01') to (maxvalue);

create table users (user_id bigint primary key, url text, login text unique);
