-- Advertisements; one may be a variant of another.

create table ads.ads (
    id          serial primary key,
    company_id  bigint not null,
    campaign_id bigint not null,
    variant_of  integer constraint "ads variant" references ads.ads (id) deferrable initially deferred,
    name        text not null,
    target_url  text not null,
    created_at  timestamptz not null default now(),
    foreign key (company_id, campaign_id) references ads.campaigns (company_id, id) on delete cascade
);

create index ads_campaign_idx on ads.ads (company_id, campaign_id);
