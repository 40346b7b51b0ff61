-- Schemas that an earlier run of the analysis has made for a while, and was killed before it dropped them.
select nspname::text
from pg_namespace
where starts_with(nspname, 'citus_pulumi_analysis_')
  and obj_description(oid, 'pg_namespace') = %(mark)s
order by 1
