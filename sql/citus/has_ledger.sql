select exists (select from pg_catalog.pg_extension where extname = 'citus')
   and pg_catalog.to_regclass('citus_pulumi.stack') is not null
   and pg_catalog.to_regclass('citus_pulumi.script') is not null
