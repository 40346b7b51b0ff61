-- Rows that were there before the tables were sharded.

insert into ads.companies (name, state) select 'company ' || i, 'active' from generate_series(1, 10) i;

insert into ads."GeoRegion" values (1, 'MX', 'México'), (2, 'CO', 'Colombia'), (3, 'PE', 'Perú');

insert into ads.campaigns (company_id, name, monthly_budget, blocked_sites)
select 1 + i % 10, 'campaign ' || i, 100 * i, array['a' || i, 'b']
from generate_series(1, 40) i;

insert into ads.ads (company_id, campaign_id, name, target_url)
select c.company_id, c.id, c.name || ', ad ' || i, 'https://example.com/' || i
from ads.campaigns c, generate_series(1, 3) i;

update ads.ads a set variant_of = (select min(id) from ads.ads b where b.company_id = a.company_id);

insert into ads."Click" ("Company Id", "adId", "regionId", "cost ""net""")
select a.company_id, a.id, nullif(i % 4, 0), i / 100.0
from ads.ads a, generate_series(1, 10) i;

insert into ads.impressions (company_id, ad_id, seen_at)
select a.company_id, a.id, date '2025-12-20' + i
from ads.ads a, generate_series(1, 24) i;
